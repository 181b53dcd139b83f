package main

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
)

// checkout takes orders.
type checkout struct {
	catalogue string
	store     storeClient
}

func newCheckout(catalogue string, store storeClient) http.Handler {
	c := checkout{catalogue, store}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", healthy)
	mux.HandleFunc("POST /orders", c.take)
	mux.HandleFunc("GET /orders", c.list)
	mux.HandleFunc("GET /orders/{id}", c.one)
	return mux
}

var idPattern = regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`)

// take looks the price up and answers when the order is on a disk.
func (c checkout) take(w http.ResponseWriter, r *http.Request) {
	var o order
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&o); err != nil {
		http.Error(w, "no order: "+err.Error(), http.StatusBadRequest)
		return
	}
	if !idPattern.MatchString(o.ID) || o.Quantity < 1 {
		http.Error(w, "an order has an ID of letters, digits and dashes and a quantity of 1 or more", http.StatusBadRequest)
		return
	}
	var bought product
	if err := ask(r.Context(), http.MethodGet, c.catalogue+"/products/"+url.PathEscape(o.Product), nil, nil, &bought); err != nil {
		http.Error(w, err.Error(), code(err))
		return
	}
	o.Total = o.Quantity * bought.Price
	if err := c.store.keep(r.Context(), o); err != nil {
		http.Error(w, err.Error(), code(err))
		return
	}
	answer(w, http.StatusCreated, o)
}

func (c checkout) list(w http.ResponseWriter, r *http.Request) {
	all, err := c.store.orders(r.Context())
	if err != nil {
		http.Error(w, err.Error(), code(err))
		return
	}
	answer(w, http.StatusOK, all)
}

func (c checkout) one(w http.ResponseWriter, r *http.Request) {
	o, err := c.store.order(r.Context(), r.PathValue("id"))
	if err != nil {
		http.Error(w, err.Error(), code(err))
		return
	}
	answer(w, http.StatusOK, o)
}
