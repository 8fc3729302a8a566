package pages

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"

	"github.com/booking-platform/booking-platform/internal/pg"
)

//go:embed templates static
var files embed.FS

var templates = template.Must(template.ParseFS(files, "templates/*.html"))

// page is what every template finds.
type page struct {
	Title   string
	StandIn bool
	// Staff is on the operators' own pages, Wide on those with tables.
	Staff, Wide bool
	// Refresh has the browser ask again: "1;url=…".
	Refresh string
}

func (p *Pages) page(title string) page { return page{Title: title, StandIn: p.opts.StandIn} }

// render writes a page whole or not at all: a template that fails half way is a 500 and
// no half page.
func (p *Pages) render(w http.ResponseWriter, status int, name string, data any) {
	var out bytes.Buffer
	if err := templates.ExecuteTemplate(&out, name, data); err != nil {
		panic(err) // The templates and what they are given are ours.
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(out.Bytes()) // A browser that has gone needs no page.
}

// nothing is a page with a sentence.
type nothing struct {
	page
	Text, RequestID, Back string
}

func (p *Pages) notFound(w http.ResponseWriter) {
	p.render(w, http.StatusNotFound, "nothing.html", nothing{
		page: p.page("There is no such booking"), Text: "The link may be incomplete, or old.", Back: "/",
	})
}

// log says what went wrong, with its SQLSTATE where that was the database's.
func (p *Pages) log(ctx context.Context, level slog.Level, message string, err error) {
	p.opts.Logger.LogAttrs(ctx, level, message, slog.String("error", err.Error()),
		slog.String("sqlstate", pg.SQLState(err)))
}

// fail is the page for what the visitor cannot mend. What went wrong is logged, and not
// said.
func (p *Pages) fail(w http.ResponseWriter, r *http.Request, err error) {
	level := slog.LevelError
	if errors.Is(err, context.Canceled) {
		level = slog.LevelInfo
	}
	p.log(r.Context(), level, "page failed", err)
	w.Header().Set("Retry-After", "1")
	p.render(w, http.StatusServiceUnavailable, "nothing.html", nothing{
		page:      p.page("Please try again in a moment"),
		Text:      "Something on our side is not working right now. Nothing was charged.",
		RequestID: p.opts.RequestID(r.Context()), Back: "/",
	})
}

// static serves what pages refer to. It belongs to nobody, so that browsers may keep it
// for a while.
func (p *Pages) static() http.Handler {
	dir, err := fs.Sub(files, "static")
	if err != nil {
		panic(err) // The folder is embedded above.
	}
	serve := http.StripPrefix("/static/", http.FileServerFS(dir))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if info, err := fs.Stat(dir, r.URL.Path[len("/static/"):]); err != nil || info.IsDir() {
			p.opts.NotFound.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Cache-Control", "public, max-age=300")
		serve.ServeHTTP(w, r)
	})
}
