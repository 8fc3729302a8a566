package stripetest

import (
	_ "embed"
	"errors"
	"html/template"
	"net/http"
	"strings"
)

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS []byte

var pageTemplate = template.Must(template.New("page").Parse(pageHTML))

// pageView is the template's data. The template escapes the session's strings.
type pageView struct {
	Session
	Lines   []pageLine
	Total   string
	Until   string
	Debit   bool   // a bank debit is offered
	Back    string // to the shop, if the session is no longer open
	Message string
}

type pageLine struct {
	LineItem
	Each, Total string
}

func (s *Server) showPage(w http.ResponseWriter, r *http.Request) {
	sess, err := s.Session(r.PathValue("id"))
	if err != nil {
		noPage(w)
		return
	}
	s.writePage(w, http.StatusOK, sess, "")
}

// usePage handles the buttons of the page, POST /pay/{id}.
func (s *Server) usePage(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	sess, err := s.Session(r.PathValue("id"))
	if err != nil {
		noPage(w)
		return
	}
	const closed = "Nothing was done: this session is no longer open."
	debit := s.opts.BankDebit && sess.AmountTotal > 0
	switch action := r.PostFormValue("action"); {
	case action == "pay", action == "debit" && debit:
		method := card
		if action == "debit" {
			method = bankDebit
		}
		// The customer is redirected whatever the webhook's first response was.
		paid, err := s.pay(r.Context(), sess.ID, r.PostFormValue("email"), method)
		if errors.Is(err, ErrNotOpen) {
			s.writePage(w, http.StatusConflict, paid, closed)
			return
		}
		redirect(w, paid.successURL())
	case action == "decline":
		if s.Decline(sess.ID) != nil {
			s.writePage(w, http.StatusConflict, sess, closed)
			return
		}
		s.writePage(w, http.StatusPaymentRequired, sess, "The card was declined. Nothing was paid; you can try again.")
	case action == "leave" && sess.CancelURL != "":
		redirect(w, sess.CancelURL)
	default:
		s.writePage(w, http.StatusBadRequest, sess, "That is not one of the buttons.")
	}
}

func (s Session) successURL() string {
	return strings.ReplaceAll(s.SuccessURL, "{CHECKOUT_SESSION_ID}", s.ID)
}

func redirect(w http.ResponseWriter, address string) {
	w.Header().Set("Location", address)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusSeeOther)
}

func noPage(w http.ResponseWriter) {
	http.Error(w, "There is no such Checkout Session (any more).", http.StatusNotFound)
}

func (s *Server) writePage(w http.ResponseWriter, status int, sess Session, message string) {
	v := pageView{
		Session: sess,
		Total:   formatAmount(sess.AmountTotal, sess.Currency),
		Debit:   s.opts.BankDebit && sess.AmountTotal > 0,
		Until:   sess.ExpiresAt.Format("2 January 2006, 15:04 MST"),
		Message: message,
	}
	for _, item := range sess.LineItems {
		v.Lines = append(v.Lines, pageLine{
			LineItem: item,
			Each:     formatAmount(item.UnitAmount, sess.Currency),
			Total:    formatAmount(item.UnitAmount*item.Quantity, sess.Currency),
		})
	}
	switch sess.Status {
	case Complete:
		v.Back = sess.successURL()
	case Expired:
		v.Back = sess.CancelURL
	}
	var page strings.Builder
	if err := pageTemplate.Execute(&page, v); err != nil {
		panic(err) // a mistake in the template
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	// form-action also applies to the redirect after a form, which leads to the shop's
	// address.
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; form-action 'self' http: https:; "+
		"base-uri 'none'; frame-ancestors 'none'")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(page.String())) // the browser may have disconnected
}

func serveStyle(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	w.Header().Set("Cache-Control", "max-age=300")
	_, _ = w.Write(pageCSS)
}
