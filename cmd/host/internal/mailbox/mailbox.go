// Package mailbox is the notify.Sender of development, and the pages that show what it got.
//
// The problem is to see mails without a mail server, as the Stripe stand-in shows payments
// without Stripe. Mails are kept in memory, with the private links in them, so it must not
// run in production.
package mailbox

import (
	"context"
	"embed"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/booking-platform/booking-platform/notify"
)

// most is how many mails are kept.
const most = 200

// Box keeps the newest mails. It is safe for concurrent use.
type Box struct {
	logger *slog.Logger
	prefix string

	mu    sync.Mutex
	next  int
	mails []kept // Newest first.
}

type kept struct {
	Number int
	At     time.Time
	notify.Mail
}

// New returns an empty box whose pages are at prefix, such as /mailbox.
func New(prefix string, logger *slog.Logger) *Box { return &Box{logger: logger, prefix: prefix} }

// Send implements notify.Sender.
func (b *Box) Send(ctx context.Context, m notify.Mail) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.next++
	b.mails = append([]kept{{b.next, time.Now(), m}}, b.mails...)
	b.mails = b.mails[:min(len(b.mails), most)]
	b.logger.InfoContext(ctx, "mail is in the mailbox", slog.String("page", b.prefix+"/"+strconv.Itoa(b.next)))
	return nil
}

// Mails returns the mails, newest first.
func (b *Box) Mails() (mails []notify.Mail) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range b.mails {
		mails = append(mails, m.Mail)
	}
	return mails
}

//go:embed templates
var files embed.FS

var templates = template.Must(template.ParseFS(files, "templates/*.html"))

// htmlPolicy lets a mail's HTML have its styles, and nothing else: it may not load or run
// anything, and it is shown in a frame of this host only. Its links open in a window of
// their own.
const htmlPolicy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'; " +
	"sandbox allow-popups allow-popups-to-escape-sandbox allow-top-navigation-by-user-activation"

// ServeHTTP serves the list, PREFIX/NUMBER, PREFIX/NUMBER/html and PREFIX/NUMBER/files/N.
func (b *Box) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rest := strings.Trim(strings.TrimPrefix(r.URL.Path, b.prefix), "/")
	if rest == "" {
		b.mu.Lock()
		list := append([]kept(nil), b.mails...)
		b.mu.Unlock()
		b.page(w, r, "list.html", map[string]any{"Prefix": b.prefix, "Mails": list})
		return
	}
	parts := strings.Split(rest, "/")
	m, found := b.find(parts[0])
	switch {
	case !found:
		http.NotFound(w, r)
	case len(parts) == 1:
		b.page(w, r, "mail.html", map[string]any{"Prefix": b.prefix, "Mail": m})
	case len(parts) == 2 && parts[1] == "html":
		w.Header().Set("Content-Security-Policy", htmlPolicy)
		w.Header().Set("X-Frame-Options", "SAMEORIGIN")
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		// A window of their own for the links: the host's pages are shown in no frame.
		_, _ = w.Write([]byte(strings.Replace(m.HTML, "<head>", `<head><base target="_blank">`, 1)))
	case len(parts) == 3 && parts[1] == "files":
		b.file(w, r, m, parts[2])
	default:
		http.NotFound(w, r)
	}
}

func (b *Box) find(number string) (kept, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range b.mails {
		if strconv.Itoa(m.Number) == number {
			return m, true
		}
	}
	return kept{}, false
}

func (b *Box) file(w http.ResponseWriter, r *http.Request, m kept, number string) {
	n, err := strconv.Atoi(number)
	if err != nil || n < 0 || n >= len(m.Attachments) {
		http.NotFound(w, r)
		return
	}
	a := m.Attachments[n]
	w.Header().Set("Content-Type", a.ContentType)
	w.Header().Set("Content-Disposition", "attachment; filename*=UTF-8''"+url.PathEscape(a.Name))
	_, _ = w.Write(a.Content)
}

func (b *Box) page(w http.ResponseWriter, r *http.Request, name string, data map[string]any) {
	data["Style"] = path.Join(path.Dir(b.prefix), "static/style.css")
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if err := templates.ExecuteTemplate(w, name, data); err != nil {
		b.logger.ErrorContext(r.Context(), "mailbox: render", slog.String("error", err.Error()))
	}
}
