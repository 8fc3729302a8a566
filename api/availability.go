package api

import (
	"errors"
	"net/http"
	"time"

	"github.com/booking-platform/booking-platform/booking"
)

type slotView struct {
	Start     string `json:"start"`
	End       string `json:"end"`
	Remaining int    `json:"remaining"`
}

func viewSlot(s booking.Slot, zone *time.Location) slotView {
	return slotView{Start: local(s.Start, zone), End: local(s.End, zone), Remaining: s.Remaining}
}

// defaultDays is the span of an availability without to. Package booking limits it.
const defaultDays = 7

// availability lists the free slots that start in a span of time.
func (a *API) availability(w http.ResponseWriter, r *http.Request) {
	q, now := query{r.URL.Query(), map[string]string{}}, time.Now()
	var zone *time.Location
	found, err := a.deps.Bookings.Availability(r.Context(), booking.AvailabilityRequest{
		Resources: []string{r.PathValue("resource")}, Offer: q.values.Get("offer"), Party: q.party(),
		Span: func(in *time.Location) (from, to time.Time, err error) {
			zone = in
			from, to = q.span(zone, now)
			return from, to, q.err()
		},
	})
	if errors.Is(err, booking.ErrNotFound) {
		err = booking.ErrNotFound
	}
	if err != nil {
		a.writeError(w, r, err)
		return
	}
	answer := page[slotView]{Items: []slotView{}}
	for _, s := range found[0].Slots {
		answer.Items = append(answer.Items, viewSlot(s, zone))
	}
	writeJSON(w, http.StatusOK, answer)
}

// next returns the first free slot after an instant.
func (a *API) next(w http.ResponseWriter, r *http.Request) {
	resource, zone, err := a.resourceOf(r)
	if err != nil {
		a.writeError(w, r, err)
		return
	}
	q := query{r.URL.Query(), map[string]string{}}
	req := booking.NextSlotRequest{Resource: resource.ID, Offer: q.values.Get("offer"), Party: q.party()}
	if q.values.Has("after") {
		req.After = q.instant("after", zone, 0)
	}
	if err := q.err(); err != nil {
		a.writeError(w, r, err)
		return
	}
	slot, err := a.deps.Bookings.NextSlot(r.Context(), req)
	if err != nil {
		a.writeError(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, viewSlot(slot, zone))
}

func (a *API) resourceOf(r *http.Request) (booking.Resource, *time.Location, error) {
	resource, err := a.deps.Bookings.Resource(r.Context(), r.PathValue("resource"))
	if err != nil {
		return booking.Resource{}, nil, err
	}
	zone, err := resource.Zone()
	return resource, zone, err
}

// span reads from and to. A date means the start of the day in the resource's zone, and
// as to, which is exclusive, the start of the next day. Without to the span is seven
// days: calendar days if from is a date.
func (q query) span(zone *time.Location, now time.Time) (from, to time.Time) {
	if from = now; q.values.Has("from") {
		from = q.instant("from", zone, 0)
	}
	to = from.Add(defaultDays * 24 * time.Hour)
	if _, err := booking.ParseDate(q.values.Get("from")); err == nil {
		to = q.instant("from", zone, defaultDays)
	}
	if q.values.Has("to") {
		to = q.instant("to", zone, 1)
	}
	return from, to
}

// resourceView is a resource. Amounts are per person.
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

// policyView is when customers may cancel and reschedule, and what it costs.
type policyView struct {
	// Cancellable is false if they never may; the other fields then have no meaning.
	Cancellable bool `json:"cancellable"`
	// FreeUntilMinutes and ClosedFromMinutes are before the start.
	FreeUntilMinutes  int   `json:"freeUntilMinutes"`
	ClosedFromMinutes int   `json:"closedFromMinutes"`
	FeePercent        int   `json:"feePercent"`
	FeeAmount         int64 `json:"feeAmount"`
}

// offerView is a variant of the resource. Slug is the offer of a booking request.
type offerView struct {
	Slug        string `json:"slug"`
	Name        string `json:"name"`
	SlotMinutes int    `json:"slotMinutes"`
	StepMinutes int    `json:"stepMinutes"`
	Amount      int64  `json:"amount"`
	Currency    string `json:"currency"`
}

func (a *API) resources(w http.ResponseWriter, r *http.Request) {
	all, err := a.deps.Bookings.Resources(r.Context())
	if err != nil {
		a.writeError(w, r, err)
		return
	}
	answer := page[resourceView]{Items: make([]resourceView, 0, len(all))}
	for _, res := range all {
		v := resourceView{
			ID: res.ID, Slug: res.Slug, Name: res.Name, Description: res.Description, TimeZone: res.TimeZone,
			Capacity: res.Capacity, SlotMinutes: minutes(res.SlotLength), StepMinutes: minutes(res.SlotStep),
			Amount:   res.Price.Minor,
			Currency: res.Price.Currency,
			Policy: policyView{
				Cancellable: !res.Policy.Never, FreeUntilMinutes: minutes(res.Policy.FreeUntil),
				ClosedFromMinutes: minutes(res.Policy.ClosedFrom),
				FeePercent:        res.Policy.FeePercent, FeeAmount: res.Policy.FeeMinor,
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
