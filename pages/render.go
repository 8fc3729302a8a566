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
	"strings"

	"github.com/booking-platform/booking-platform/internal/pg"
)

//go:embed templates static
var files embed.FS

var templates = template.Must(template.ParseFS(files, "templates/*.html"))

// page is the data of the layout.
type page struct {
	Prefix, Title string
	StripeFake    bool
	// Staff is set on pages for staff, Wide on those with tables.
	Staff, Wide bool
	// Refresh is the value of the meta element: "1;url=…".
	Refresh string
}

func (p *Pages) page(title string) page {
	return page{Prefix: p.prefix, Title: title, StripeFake: p.opts.StripeFake}
}

// render executes a template before it writes anything.
func (p *Pages) render(w http.ResponseWriter, status int, name string, data any) {
	var out bytes.Buffer
	if err := templates.ExecuteTemplate(&out, name, data); err != nil {
		panic(err) // A mistake in a template.
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(out.Bytes())
}

// messageView is a page with a sentence.
type messageView struct {
	page
	Text, RequestID, Back string
}

func (p *Pages) notFound(w http.ResponseWriter) {
	p.render(w, http.StatusNotFound, "message.html", messageView{
		page: p.page("There is no such booking"), Text: "The link may be incomplete, or old.", Back: p.prefix + "/",
	})
}

func (p *Pages) log(ctx context.Context, level slog.Level, message string, err error) {
	p.opts.Logger.LogAttrs(ctx, level, message, slog.String("error", err.Error()),
		slog.String("sqlstate", pg.SQLState(err)))
}

// serverError logs err and answers with a page that does not show it.
func (p *Pages) serverError(w http.ResponseWriter, r *http.Request, err error) {
	level := slog.LevelError
	if errors.Is(err, context.Canceled) {
		level = slog.LevelInfo
	}
	p.log(r.Context(), level, "page failed", err)
	w.Header().Set("Retry-After", "1")
	p.render(w, http.StatusServiceUnavailable, "message.html", messageView{
		page:      p.page("Please try again in a moment"),
		Text:      "Something on our side is not working right now. Nothing was charged.",
		RequestID: p.opts.RequestID(r.Context()), Back: p.prefix + "/",
	})
}

// Maintenance answers 503 with a page that asks to try again later, for a host that sells
// nothing at the moment. It uses no database. The caller sets Retry-After.
func (p *Pages) Maintenance(w http.ResponseWriter) {
	p.render(w, http.StatusServiceUnavailable, "message.html", messageView{
		page: p.page("We will be back in a few minutes"),
		Text: "We are working on the booking system, and nothing can be booked or changed for the moment. " +
			"What you have booked and paid for is safe. Please try again in a few minutes.",
	})
}

// static serves stylesheet and icon. They are public, so that browsers may cache them.
func (p *Pages) static() http.Handler {
	dir, err := fs.Sub(files, "static")
	if err != nil {
		panic(err) // The folder is embedded above.
	}
	serve := http.StripPrefix(p.prefix+"/static/", http.FileServerFS(dir))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if info, err := fs.Stat(dir, strings.TrimPrefix(r.URL.Path, p.prefix+"/static/")); err != nil || info.IsDir() {
			p.opts.NotFound.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Cache-Control", "public, max-age=300")
		serve.ServeHTTP(w, r)
	})
}
