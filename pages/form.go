package pages

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/booking-platform/booking-platform/booking"
)

// form is what was typed, kept when the page has to be shown again.
type form struct {
	Resource, Offer, Start, FirstName, LastName, Email, Party string
	// From is the first day that was shown; it is no part of the wish.
	From string `json:"-"`
	// Key makes the same form sent twice one booking: a double click, or going back and
	// on again.
	Key string
}

func emptyForm() form { return form{Party: "1", Key: newKey()} }

func newKey() string { return rand.Text() }

func readForm(values url.Values) form {
	text := func(name string) string { return strings.TrimSpace(values.Get(name)) }
	return form{
		Resource: text("resource"), Offer: text("offer"), From: text("from"), Start: text("start"),
		FirstName: text("firstName"), LastName: text("lastName"),
		Email: text("email"), Party: text("party"), Key: text("key"),
	}
}

// heads is how many come; 0 when that was not said, or is no number.
func (f form) heads() int {
	n, err := strconv.Atoi(f.Party)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// wish turns the form into a request. The key that booking gets covers everything typed:
// whoever goes back and chooses another time makes another booking, and is not told of a
// mismatch.
func (f form) wish() (booking.HoldRequest, map[string]string) {
	problems := map[string]string{}
	wish := booking.HoldRequest{
		Resource: f.Resource,
		Offer:    f.Offer,
		Customer: booking.Customer{FirstName: f.FirstName, LastName: f.LastName, Email: f.Email},
		Party:    f.heads(),
	}
	if f.Party != "" && wish.Party == 0 {
		problems["party"] = "must be at least 1"
	}
	if f.Start != "" {
		start, err := time.Parse(time.RFC3339, f.Start)
		if err != nil {
			problems["start"] = "please choose a time"
		}
		wish.Start = start
	}
	if f.Key != "" {
		typed, _ := json.Marshal(f) // Strings always encode.
		sum := sha256.Sum256(typed)
		wish.IdempotencyKey = "page:" + hex.EncodeToString(sum[:])
	}
	return wish, problems
}

// parse reads a form of at most 64 KiB; false when the answer has been given.
func (p *Pages) parse(w http.ResponseWriter, r *http.Request) bool {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	if err := r.ParseForm(); err != nil {
		p.render(w, http.StatusBadRequest, "nothing.html",
			nothing{page: p.page("That could not be read"), Text: "Please try again.", Back: "/"})
		return false
	}
	return true
}
