package main

import (
	"crypto/rand"
	"encoding/json"
	"html/template"
	"net/http"
)

// front is what customers reach.
type front struct{ catalogue, checkout string }

func newFront(catalogue, checkout string) http.Handler {
	f := front{catalogue, checkout}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", healthy)
	mux.HandleFunc("GET /{$}", f.page)
	mux.HandleFunc("GET /products", f.products)
	mux.HandleFunc("POST /orders", f.order)
	mux.HandleFunc("GET /orders", f.orders)
	mux.HandleFunc("GET /orders/{id}", f.one)
	return mux
}

var page = template.Must(template.New("").Parse(`<!doctype html>
<title>Shop</title>
<h1>Shop</h1>
<table>
<tr><th>product<th>cents<th>sold
{{range .}}<tr><td>{{.Name}}<td>{{.Price}}<td>{{.Sold}}
{{end}}</table>
`))

func (f front) page(w http.ResponseWriter, r *http.Request) {
	var products []product
	if err := ask(r.Context(), http.MethodGet, f.catalogue+"/products", nil, nil, &products); err != nil {
		http.Error(w, err.Error(), code(err))
		return
	}
	_ = page.Execute(w, products) // the client is gone, or has it
}

func (f front) products(w http.ResponseWriter, r *http.Request) {
	pass(w, r, f.catalogue+"/products")
}

func (f front) orders(w http.ResponseWriter, r *http.Request) { pass(w, r, f.checkout+"/orders") }

func (f front) one(w http.ResponseWriter, r *http.Request) {
	pass(w, r, f.checkout+"/orders/"+r.PathValue("id"))
}

// pass answers with what another service answers.
func pass(w http.ResponseWriter, r *http.Request, url string) {
	var out json.RawMessage
	if err := ask(r.Context(), http.MethodGet, url, nil, nil, &out); err != nil {
		http.Error(w, err.Error(), code(err))
		return
	}
	answer(w, http.StatusOK, out)
}

// order gives the order a name, unless the customer did, and hands it on.
func (f front) order(w http.ResponseWriter, r *http.Request) {
	var in order
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&in); err != nil {
		http.Error(w, "no order: "+err.Error(), http.StatusBadRequest)
		return
	}
	if in.ID = r.Header.Get(keyHeader); in.ID == "" {
		in.ID = rand.Text()
	}
	var out order
	if err := ask(r.Context(), http.MethodPost, f.checkout+"/orders", http.Header{keyHeader: {in.ID}}, in, &out); err != nil {
		http.Error(w, err.Error(), code(err))
		return
	}
	answer(w, http.StatusCreated, out)
}
