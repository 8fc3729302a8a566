package api

import (
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/gorilla/mux"

	"github.com/booking-platform/booking-platform/booking"
)

// resourceView is something that can be booked. Amounts are per head, in minor units of the currency.
type resourceView struct {
	ID          string      `json:"id"`
	Slug        string      `json:"slug"`
	Name        string      `json:"name"`
	Description string      `json:"description"`
	TimeZone    string      `json:"timeZone"`
	Capacity    int         `json:"capacity"`
	SlotMinutes int         `json:"slotMinutes"`
	StepMinutes int         `json:"stepMinutes"`
	Amount      int64       `json:"amount"`
	Currency    string      `json:"currency"`
	Policy      policyView  `json:"policy"`
	Offers      []offerView `json:"offers"`
}

// policyView is what customers may cancel and move, and what it costs them.
type policyView struct {
	// Cancellable is false where they may not at all; the rest then means nothing.
	Cancellable bool `json:"cancellable"`
	// FreeUntilMinutes and ClosedFromMinutes are counted back from the start.
	FreeUntilMinutes  int   `json:"freeUntilMinutes"`
	ClosedFromMinutes int   `json:"closedFromMinutes"`
	FeePercent        int   `json:"feePercent"`
	FeeAmount         int64 `json:"feeAmount"`
}

// offerView is another way in which the resource is sold: name it as offer in a booking.
type offerView struct {
	Slug        string `json:"slug"`
	Name        string `json:"name"`
	SlotMinutes int    `json:"slotMinutes"`
	StepMinutes int    `json:"stepMinutes"`
	Amount      int64  `json:"amount"`
	Currency    string `json:"currency"`
}

func (a *API) resources(w http.ResponseWriter, r *http.Request) {
	all, err := a.opts.Bookings.Resources(r.Context())
	if err != nil {
		a.fail(w, r, err)
		return
	}
	answer := list[resourceView]{Items: make([]resourceView, 0, len(all))}
	for _, res := range all {
		v := resourceView{
			ID: res.ID, Slug: res.Slug, Name: res.Name, Description: res.Description, TimeZone: res.TimeZone, Capacity: res.Capacity,
			SlotMinutes: minutes(res.SlotLength), StepMinutes: minutes(res.SlotStep), Amount: res.Price.Minor, Currency: res.Price.Currency,
			Policy: policyView{
				Cancellable: !res.Policy.Never, FreeUntilMinutes: minutes(res.Policy.FreeUntil), ClosedFromMinutes: minutes(res.Policy.ClosedFrom),
				FeePercent: res.Policy.FeePercent, FeeAmount: res.Policy.FeeMinor,
			},
			Offers: []offerView{},
		}
		for _, o := range res.Offers {
			if !o.Inactive {
				v.Offers = append(v.Offers, offerView{
					Slug: o.Slug, Name: o.Name, SlotMinutes: minutes(o.SlotLength), StepMinutes: minutes(o.SlotStep),
					Amount: o.Price.Minor, Currency: o.Price.Currency,
				})
			}
		}
		answer.Items = append(answer.Items, v)
	}
	writeJSON(w, http.StatusOK, answer)
}

func minutes(d time.Duration) int { return int(d / time.Minute) }

type slotView struct {
	Start     string `json:"start"`
	End       string `json:"end"`
	Remaining int    `json:"remaining"`
}

// defaultDays is the span that is answered when the query does not say; booking bounds the longest one.
const defaultDays = 7

// availability lists the free slots that begin in a span of time.
func (a *API) availability(w http.ResponseWriter, r *http.Request) {
	resource, err := a.opts.Bookings.Resource(r.Context(), mux.Vars(r)["resource"])
	if err != nil {
		a.fail(w, r, err)
		return
	}
	zone, err := time.LoadLocation(resource.TimeZone)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	span, err := readSpan(r.URL.Query(), zone, time.Now())
	if err != nil {
		a.fail(w, r, err)
		return
	}
	slots, err := a.opts.Bookings.Slots(r.Context(), resource.ID, span.from, span.to, span.party)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	answer := list[slotView]{Items: make([]slotView, 0, len(slots))}
	for _, s := range slots {
		answer.Items = append(answer.Items, slotView{Start: local(s.Start, zone), End: local(s.End, zone), Remaining: s.Remaining})
	}
	writeJSON(w, http.StatusOK, answer)
}

// span is what availability is asked for.
type span struct {
	from, to time.Time
	party    int
}

// readSpan reads from, to and party. A date stands for its midnight in the resource's zone; as to, for the midnight after it, so that
// the day itself is in.
func readSpan(query url.Values, zone *time.Location, now time.Time) (span, error) {
	problems := map[string]string{}
	s := span{from: now, party: 1}
	if query.Has("from") {
		s.from = readTime(query, "from", zone, 0, problems)
	}
	s.to = s.from.AddDate(0, 0, defaultDays)
	if query.Has("to") {
		s.to = readTime(query, "to", zone, 1, problems)
	}
	if text := query.Get("party"); query.Has("party") {
		n, err := strconv.Atoi(text)
		if s.party = n; err != nil || n < 1 {
			problems["party"] = "must be at least 1"
		}
	}
	if len(problems) > 0 {
		return span{}, &booking.ValidationError{Fields: problems}
	}
	return s, nil
}

// local writes an instant with the offset that a zone has then.
func local(t time.Time, zone *time.Location) string { return t.In(zone).Format(time.RFC3339) }
