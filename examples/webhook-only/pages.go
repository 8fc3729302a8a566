package main

import (
	"database/sql"
	"errors"
	"html/template"
	"net/http"
	"strconv"
)

// routes returns the shop's pages.
func (s *shop) routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { show(w, "front", nil) })
	mux.HandleFunc("POST /orders", s.postOrder)
	mux.HandleFunc("GET /orders/{id}", s.getOrder)
	return mux
}

func (s *shop) postOrder(w http.ResponseWriter, r *http.Request) {
	_, payAt, err := s.placeOrder(r.Context())
	if err != nil {
		http.Error(w, "the order could not be placed", http.StatusServiceUnavailable)
		return
	}
	http.Redirect(w, r, payAt, http.StatusSeeOther)
}

func (s *shop) getOrder(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	o, err := s.order(r.Context(), id)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		http.NotFound(w, r)
	case err != nil:
		http.Error(w, "the order could not be read", http.StatusInternalServerError)
	default:
		show(w, "order", o)
	}
}

var pages = template.Must(template.New("").Parse(`
{{define "front"}}<!doctype html><meta charset="utf-8"><title>Mugs</title>
<h1>Mugs</h1><form method="post" action="/orders"><button>Order a mug for 14.00 EUR</button></form>{{end}}
{{define "order"}}<!doctype html><meta charset="utf-8"><title>Order {{.ID}}</title>
<h1>Order {{.ID}}: {{.Status}}</h1><p>{{.Item}}, parcels packed: {{.Parcels}}</p>
<p><a href="/">Another</a></p>{{end}}`))

func show(w http.ResponseWriter, page string, data any) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	// The client may have disconnected.
	_ = pages.ExecuteTemplate(w, page, data)
}
