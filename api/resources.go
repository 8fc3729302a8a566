package api

import (
	"net/http"
	"time"
)

// resourceView is something that can be booked. Amounts are per head, in minor units of
// the currency.
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
			ID: res.ID, Slug: res.Slug, Name: res.Name, Description: res.Description, TimeZone: res.TimeZone,
			Capacity:    res.Capacity,
			SlotMinutes: minutes(res.SlotLength), StepMinutes: minutes(res.SlotStep), Amount: res.Price.Minor,
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

// minutes is how many whole ones a duration has.
func minutes(d time.Duration) int { return int(d / time.Minute) }
