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
	"github.com/booking-platform/booking-platform/locale"
)

//go:embed templates static
var files embed.FS

var templates = template.Must(template.ParseFS(files, "templates/*.html"))

// page is the data of the layout, and the language of the whole page.
type page struct {
	locale.Locale
	Prefix, Title string
	StripeFake    bool
	// Links reports whether there is a page that sends links.
	Links bool
	// Staff is set on pages for staff, Wide on those with tables.
	Staff, Wide bool
	// Refresh is the value of the meta element: "1;url=…".
	Refresh string
}

func (p *Pages) page(l locale.Locale, title string) page {
	return page{Locale: l, Prefix: p.prefix, Title: title, StripeFake: p.opts.StripeFake,
		Links: p.opts.SendLinks != nil}
}

// english is the language of the pages for staff.
var english locale.Locale

// languageOf returns the language that a browser asks for.
func languageOf(r *http.Request) locale.Locale {
	return locale.Of(locale.Match(r.Header.Get("Accept-Language")))
}

// render executes a template before it writes anything.
func (p *Pages) render(w http.ResponseWriter, status int, name string, data interface{ Tag() string }) {
	var out bytes.Buffer
	if err := templates.ExecuteTemplate(&out, name, data); err != nil {
		panic(err) // A mistake in a template.
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Language", data.Tag())
	w.Header().Add("Vary", "Accept-Language")
	w.WriteHeader(status)
	_, _ = w.Write(out.Bytes())
}

// messageView is a page with a sentence.
type messageView struct {
	page
	Text, RequestID, Back string
}

func (p *Pages) notFound(w http.ResponseWriter, r *http.Request) {
	l := languageOf(r)
	p.render(w, http.StatusNotFound, "message.html", messageView{page: p.page(l, l.T("There is no such booking")),
		Text: l.T("The link may be incomplete, or old."), Back: p.prefix + "/"})
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
	l := languageOf(r)
	p.render(w, http.StatusServiceUnavailable, "message.html", messageView{
		page:      p.page(l, l.T("Please try again in a moment")),
		Text:      l.T("Something on our side is not working right now. Nothing was charged."),
		RequestID: p.opts.RequestID(r.Context()), Back: p.prefix + "/",
	})
}

// AsksForHTML reports whether the client of a request is a browser that shows a page: its
// Accept header names text/html.
func AsksForHTML(r *http.Request) bool {
	return strings.Contains(strings.ToLower(strings.Join(r.Header.Values("Accept"), ",")), "text/html")
}

// NotFoundPage answers 404 with a page, for the unknown paths of a host.
func (p *Pages) NotFoundPage(w http.ResponseWriter, r *http.Request) {
	l := languageOf(r)
	p.render(w, http.StatusNotFound, "message.html", messageView{page: p.page(l, l.T("This page does not exist")),
		Text: l.T("The link may be incomplete, or old."), Back: p.prefix + "/"})
}

// Maintenance answers 503 with a page that asks to try again later, for a host that sells
// nothing at the moment. It uses no database. The caller sets Retry-After.
func (p *Pages) Maintenance(w http.ResponseWriter, r *http.Request) {
	l := languageOf(r)
	p.render(w, http.StatusServiceUnavailable, "message.html", messageView{
		page: p.page(l, l.T("We will be back in a few minutes")),
		Text: l.T("We are working on the booking system, and nothing can be booked or changed for the moment. " +
			"What you have booked and paid for is safe. Please try again in a few minutes."),
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
