package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"slices"
)

// catalogue knows what there is to buy.
type catalogue struct {
	products []product
	store    storeClient
	caches   []string
}

func newCatalogue(file string, store storeClient, caches []string) (http.Handler, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	c := catalogue{store: store, caches: caches}
	if err := json.Unmarshal(text, &c.products); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", healthy)
	mux.HandleFunc("GET /products", c.all)
	mux.HandleFunc("GET /products/{name}", c.one)
	return mux, nil
}

func (c catalogue) all(w http.ResponseWriter, r *http.Request) {
	sold := c.sold(r)
	out := slices.Clone(c.products)
	for i := range out {
		out[i].Sold = sold[out[i].Name]
	}
	answer(w, http.StatusOK, out)
}

func (c catalogue) one(w http.ResponseWriter, r *http.Request) {
	i := slices.IndexFunc(c.products, func(p product) bool { return p.Name == r.PathValue("name") })
	if i < 0 {
		http.Error(w, fmt.Sprintf("there is no %q", r.PathValue("name")), http.StatusNotFound)
		return
	}
	answer(w, http.StatusOK, c.products[i])
}

// sold is how many of each product were sold: a few seconds ago, when the cache
// knows that. Without it the catalogue is still good.
func (c catalogue) sold(r *http.Request) map[string]int {
	var out map[string]int
	entry := ""
	if len(c.caches) > 0 {
		entry = c.caches[pick("sold", len(c.caches))] + "/entries/sold"
		if err := ask(r.Context(), http.MethodGet, entry, nil, nil, &out); err == nil {
			return out
		}
	}
	out, err := c.store.sold(r.Context())
	if err != nil {
		slog.Warn("how many were sold is not known", "err", err)
		return nil
	}
	if entry != "" {
		if err := ask(r.Context(), http.MethodPut, entry+"?seconds=3", nil, out, nil); err != nil {
			slog.Warn("the cache did not take an entry", "err", err)
		}
	}
	return out
}
