package pages

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/locale"
	"github.com/booking-platform/booking-platform/payments"
)

type bookView struct {
	page
	Resource booking.Resource
	// Others, Offers and Parties are links to other resources, offers and party sizes;
	// empty if there is no choice.
	Others, Offers, Parties []choice
	// More reports whether larger parties than those with a link are possible.
	More bool
	// Price is per person, and Due what the party pays. Heads is the party, empty for
	// one person.
	Length, Price, Due, Heads string
	Free                      bool
	// Policy is what cancelling costs after the payment.
	Policy string
	Week   week
	// From is the first day of the week.
	From string
	// Own are the visitor's holds that are not paid yet, and OwnID and OwnToken name the
	// one that the page's address has. Minutes is how long a new one is kept.
	Own             []ownHold
	OwnID, OwnToken string
	Minutes         string
	// OfferLinks shows the link to the page that sends links.
	OfferLinks bool
	Form       form
	Problems   map[string]string
	Message    string
}

// showBook shows the free slots of a week. The query selects resource, offer, party and
// first day.
func (p *Pages) showBook(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	f := emptyForm()
	f.Resource, f.Offer, f.From = query.Get("resource"), query.Get("offer"), query.Get("from")
	if query.Has("party") {
		f.Party = query.Get("party")
	}
	v := bookView{Form: f}
	if err := p.setOwn(r, &v, query); err != nil {
		p.serverError(w, r, err)
		return
	}
	p.renderBook(w, r, http.StatusOK, v)
}

// setOwn sets the visitor's holds, as far as an owner token or the form's chain shows them.
func (p *Pages) setOwn(r *http.Request, v *bookView, values url.Values) error {
	known, err := p.ownBooking(r.Context(), values)
	if err != nil {
		return err
	}
	email := v.Form.Email
	if known != nil {
		v.OwnID, v.OwnToken = known.ID, known.OwnerToken
		if chain := chainOf(*known); chain != "" {
			v.Form.Chain, email = chain, known.Customer.Email
		}
	}
	v.Own, err = p.ownHolds(r, email, v.Form.Chain, known)
	return err
}

// postBooking holds the slot and redirects to Stripe's page, like POST /api/bookings.
func (p *Pages) postBooking(w http.ResponseWriter, r *http.Request) {
	if !p.parse(w, r) {
		return
	}
	l := languageOf(r)
	f := readForm(r.PostForm)
	req, problems := f.holdRequest(l)
	req.Language = locale.Match(r.Header.Get("Accept-Language"))
	ctx := booking.WithActor(r.Context(), customer)
	req.Client = p.opts.Client(ctx)
	booked, err := payments.Booked{}, error(nil)
	if len(problems) > 0 {
		err = booking.WithProblems(p.deps.Bookings.Check(ctx, req), problems)
	} else {
		booked, err = p.deps.Payments.Book(ctx, req)
	}
	again := bookView{Form: f}
	if err != nil {
		if err := p.setOwn(r, &again, r.PostForm); err != nil {
			p.serverError(w, r, err)
			return
		}
	}
	var invalid *booking.ValidationError
	var limit *booking.HoldLimitError
	var rate *payments.RateLimitError
	status := http.StatusConflict
	switch {
	case err == nil && (booked.Booking.Status == booking.StatusPending ||
		booked.Booking.Status == booking.StatusConfirmed):
		http.Redirect(w, r, booked.URL, http.StatusSeeOther)
		return
	case err == nil, errors.Is(err, booking.ErrHoldExpired), errors.Is(err, booking.ErrIdempotencyMismatch):
		again.Message = l.T("This time is no longer kept for you. Please choose again.")
		again.Form.Key = newKey()
	case errors.Is(err, booking.ErrSlotTaken):
		again.Message = l.T("This time has just been booked. Please choose another.")
		if again.holds(req) {
			again.Message = l.T("You already hold this time, see below.")
		}
		again.Form.Start = ""
	case errors.As(err, &limit):
		status = http.StatusTooManyRequests
		seconds := int(limit.RetryAfter(time.Now()) / time.Second)
		w.Header().Set("Retry-After", strconv.Itoa(seconds))
		again.Message = tooMany(l, limit, seconds)
		again.OfferLinks = p.opts.SendLinks != nil && limit.Scope != booking.ScopeClient && len(again.Own) == 0
	case errors.As(err, &rate):
		status = http.StatusTooManyRequests
		w.Header().Set("Retry-After", strconv.Itoa(rate.Seconds()))
		again.Message = tooFast(l, rate)
	case errors.Is(err, payments.ErrUnavailable):
		status = http.StatusServiceUnavailable
		w.Header().Set("Retry-After", strconv.Itoa(max(5, int(payments.RetryAfter(err)/time.Second))))
		again.Message = l.T("The payment service cannot be reached right now. " +
			"Nothing was charged and nothing is booked; please try again in a moment.")
		again.Form.Key = newKey()
	case errors.Is(err, payments.ErrRefused):
		status = http.StatusServiceUnavailable
		again.Message = l.T("This cannot be paid online at the moment, and trying again will not help. " +
			"Nothing was charged and nothing is booked. Please contact us.")
		again.Form.Key = newKey()
	case errors.As(err, &invalid):
		status = http.StatusBadRequest
		again.Problems = invalid.Fields
		again.Message = l.T("Please correct the marked fields.")
		if invalid.Fields["resource"] != "" {
			again.Message = l.T("What you chose can no longer be booked. Please choose from what is shown below.")
		}
		if invalid.Fields["start"] != "" && f.Start == "" {
			again.Problems["start"] = l.T("please choose a time")
		}
	default:
		p.serverError(w, r, err)
		return
	}
	p.renderBook(w, r, status, again)
}

// tooMany explains a limit of holds and free bookings. One that ends in more than an hour
// is a free booking.
func tooMany(l locale.Locale, limit *booking.HoldLimitError, seconds int) string {
	wait := l.N((seconds+59)/60, "Please try again in %d minute.", "Please try again in %d minutes.")
	if seconds >= 3600 {
		wait = l.T("Please try again later.")
	}
	if limit.Scope == booking.ScopeClient {
		return l.T("There are too many unpaid bookings from your network.") + " " + wait
	}
	if seconds >= 3600 {
		return l.N(limit.Limit, "You already have %d unpaid or free booking.",
			"You already have %d unpaid or free bookings.") + " " + l.T("Please pay for one of them or cancel it.") +
			" " + wait
	}
	return l.N(limit.Limit, "You already have %d unpaid booking.", "You already have %d unpaid bookings.") + " " +
		l.T("Please pay for one of them.") + " " + wait
}

func tooFast(l locale.Locale, rate *payments.RateLimitError) string {
	return l.T("Too many bookings are being made from your network.") + " " +
		l.N(rate.Seconds(), "Please try again in %d second.", "Please try again in %d seconds.")
}

func (p *Pages) renderBook(w http.ResponseWriter, r *http.Request, status int, v bookView) {
	ctx, l := r.Context(), languageOf(r)
	res, all, found, err := p.chosen(ctx, v.Form.Resource)
	switch {
	case err != nil:
		p.serverError(w, r, err)
		return
	case len(all.Resources) == 0:
		p.render(w, http.StatusOK, "message.html",
			messageView{page: p.page(l, l.T("Nothing can be booked yet")), Text: l.T("Please come back later.")})
		return
	case !found && status == http.StatusOK:
		p.render(w, http.StatusNotFound, "message.html", messageView{page: p.page(l, l.T("This cannot be booked")),
			Text: l.T("The link may be incomplete, or old."), Back: p.prefix + "/"})
		return
	}
	v.Resource = res
	v.page = p.page(l, v.Resource.Name)
	for field, problem := range v.Problems {
		v.Problems[field] = l.Problem(problem)
	}
	v.Wide = true
	if err := p.fillBookWeek(ctx, &v, all); err != nil {
		p.serverError(w, r, err)
		return
	}
	p.render(w, status, "book.html", v)
}

// fillWeek sets the week that begins on the selected day, or today, and its links.
func (p *Pages) fillBookWeek(ctx context.Context, v *bookView, all booking.ResourcePage) error {
	zone, err := v.Resource.Zone()
	if err != nil {
		return err
	}
	today, last := bounds(v.Resource, zone, time.Now())
	at := weekQuery{own: v.ownQuery(), resource: v.Resource.Slug,
		party: min(max(1, v.Form.partySize()), v.Resource.Capacity), from: firstDay(v.Form.From, today, last)}
	offer := v.selectOffer(&at)
	v.setPrice(at, offer)
	v.setLinks(p.prefix, at, all)
	from, to := span(at.from, zone)
	free, err := p.deps.Bookings.Availability(ctx, booking.AvailabilityRequest{
		Resources: []string{v.Resource.ID}, Offer: at.offer, From: from, To: to, Party: at.party,
	})
	if err != nil {
		return err
	}
	chosen, _ := time.Parse(time.RFC3339, v.Form.Start)
	link := func(day booking.Date) string {
		other := at
		other.from = day
		return p.prefix + other.link()
	}
	v.Week = newWeek(v.Locale, free[0].Slots, zone, at.from, today, last, v.Resource.Capacity, chosen, link)
	return p.nextAvailable(ctx, v.Locale, &v.Week,
		booking.NextSlotRequest{Resource: v.Resource.ID, Offer: at.offer, Party: at.party,
			After: to}, zone, link)
}

// ownQuery is the part of an address that names the visitor's own booking.
func (v *bookView) ownQuery() url.Values {
	if v.OwnID == "" {
		return nil
	}
	return url.Values{"booking": {v.OwnID}, "token": {v.OwnToken}}
}

// selectOffer returns the offer that the form names, or the resource's own slot.
func (v *bookView) selectOffer(at *weekQuery) booking.Offer {
	for _, o := range v.Resource.Offers {
		if o.Slug == v.Form.Offer && !o.Inactive {
			at.offer = o.Slug
			return o
		}
	}
	return booking.Offer{Name: v.Resource.Name, SlotLength: v.Resource.SlotLength, Price: v.Resource.Price}
}

// setPrice sets what is sold and its price. The form sends what is shown.
func (v *bookView) setPrice(at weekQuery, o booking.Offer) {
	v.Length, v.Price, v.Free = v.Locale.Length(o.SlotLength), v.Locale.Price(o.Price), o.Price.IsZero()
	switch {
	case v.Free:
	case v.Resource.Capacity > 1:
		v.Price = v.T("%s per person", v.Price)
	}
	if at.party > 1 {
		v.Heads = v.T("%d people", at.party)
	}
	// No overflow: the price was checked for the whole capacity.
	due := booking.Money{Minor: o.Price.Minor * int64(at.party), Currency: o.Price.Currency}
	v.Due = v.Money(due)
	v.Policy = v.Locale.Policy(v.Resource.Policy, due)
	if !v.Free && v.Resource.HoldFor >= time.Minute {
		v.Minutes = v.Locale.Length(v.Resource.HoldFor)
	}
	v.From = at.from.String()
	v.Form.Offer, v.Form.Party = at.offer, strconv.Itoa(at.party)
}

// setLinks sets the links to other resources, offers and parties.
func (v *bookView) setLinks(prefix string, at weekQuery, all booking.ResourcePage) {
	switch {
	case all.Total > mostChoices:
		v.Others = []choice{{v.T("All that can be booked"), prefix + "/", false}}
	case all.Total > 1:
		for _, res := range all.Resources {
			other := weekQuery{own: at.own, resource: res.Slug, party: min(at.party, res.Capacity), from: at.from}
			v.Others = append(v.Others, choice{res.Name, prefix + other.link(), res.ID == v.Resource.ID})
		}
	}
	other := at
	other.offer = ""
	priced := func(name string, price booking.Money) string { return name + ", " + v.Locale.Price(price) }
	v.Offers = []choice{{priced(v.Locale.Length(v.Resource.SlotLength), v.Resource.Price), prefix + other.link(),
		at.offer == ""}}
	for _, o := range v.Resource.Offers {
		if !o.Inactive {
			other.offer = o.Slug
			v.Offers = append(v.Offers, choice{priced(o.Name, o.Price), prefix + other.link(), at.offer == o.Slug})
		}
	}
	if len(v.Offers) == 1 {
		v.Offers = nil
	}
	if v.Resource.Capacity > 1 {
		for n := 1; n <= min(v.Resource.Capacity, maxNumbers); n++ {
			other := at
			other.party = n
			v.Parties = append(v.Parties, choice{strconv.Itoa(n), prefix + other.link(), n == at.party})
		}
	}
	v.More = v.Resource.Capacity > maxNumbers
}

// form is the input of a visitor.
type form struct {
	Resource, Offer, Start, FirstName, LastName, Email, Party string
	// Phone and Note are optional. Without them a form has the key it had before there
	// were any.
	Phone string `json:",omitempty"`
	Note  string `json:",omitempty"`
	// From is the first day that was shown, for rendering the page again.
	From string `json:"-"`
	// Chain is that of own.go.
	Chain string `json:"-"`
	// Key is the idempotency key: a form that is sent twice makes one booking.
	Key string
}

func emptyForm() form { return form{Party: "1", Key: newKey(), Chain: newKey()} }

func newKey() string { return rand.Text() }

func readForm(values url.Values) form {
	text := func(name string) string { return strings.TrimSpace(values.Get(name)) }
	return form{
		Resource: text("resource"), Offer: text("offer"), From: text("from"), Start: text("start"),
		FirstName: text("firstName"), LastName: text("lastName"),
		Email: text("email"), Party: text("party"), Key: text("key"), Chain: text("chain"),
		Phone: text("phone"), Note: text("note"),
	}
}

// partySize is 0 if the field is empty or not a number.
func (f form) partySize() int {
	n, err := strconv.Atoi(f.Party)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// holdRequest converts the form. The idempotency key is a hash of all fields, so that a
// changed form makes another booking instead of a mismatch.
func (f form) holdRequest(l locale.Locale) (booking.HoldRequest, map[string]string) {
	problems := map[string]string{}
	req := booking.HoldRequest{
		Resource: f.Resource,
		Offer:    f.Offer,
		Customer: booking.Customer{FirstName: f.FirstName, LastName: f.LastName, Email: f.Email, Phone: f.Phone},
		Note:     f.Note,
		Party:    f.partySize(),
	}
	if f.LastName == "" {
		problems["lastName"] = "is required" // Of this form, not of booking.
	}
	if f.Party != "" && req.Party == 0 {
		problems["party"] = "must be at least 1"
	}
	if f.Start != "" {
		start, err := time.Parse(time.RFC3339, f.Start)
		if err != nil {
			problems["start"] = l.T("please choose a time")
		}
		req.Start = start
	}
	if f.Key != "" {
		all, _ := json.Marshal(f)
		sum := sha256.Sum256(all)
		req.IdempotencyKey = chainPrefix + hex.EncodeToString(sum[:])
		// A form of the version before has none.
		if chainText.MatchString(f.Chain) {
			req.IdempotencyKey = chainPrefix + f.Chain + ":" + hex.EncodeToString(sum[:])
		}
	}
	return req, problems
}

// parse reads a form of up to 64 KiB. If it returns false it has answered the request.
func (p *Pages) parse(w http.ResponseWriter, r *http.Request) bool {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	if err := r.ParseForm(); err != nil {
		l := languageOf(r)
		p.render(w, http.StatusBadRequest, "message.html", messageView{
			page: p.page(l, l.T("The form could not be read")), Text: l.T("Please try again."), Back: p.prefix + "/"})
		return false
	}
	return true
}
