package api

import (
	"time"

	"github.com/booking-platform/booking-platform/booking"
)

// Resource is what can be booked. Amounts are per person, in minor units of Currency,
// which is in lower case.
type Resource struct {
	ID          string  `json:"id"`
	Slug        string  `json:"slug"`
	Name        string  `json:"name"`
	Description string  `json:"description"`
	TimeZone    string  `json:"timeZone"`
	Capacity    int     `json:"capacity"`
	SlotMinutes int     `json:"slotMinutes"`
	StepMinutes int     `json:"stepMinutes"`
	Amount      int64   `json:"amount"`
	Currency    string  `json:"currency"`
	Policy      Policy  `json:"policy"`
	Offers      []Offer `json:"offers"`
}

// Policy is when customers may cancel and reschedule, and what it costs.
type Policy struct {
	// Cancellable is false if they never may; the other fields then have no meaning.
	Cancellable bool `json:"cancellable"`
	// FreeUntilMinutes and ClosedFromMinutes are before the start.
	FreeUntilMinutes  int   `json:"freeUntilMinutes"`
	ClosedFromMinutes int   `json:"closedFromMinutes"`
	FeePercent        int   `json:"feePercent"`
	FeeAmount         int64 `json:"feeAmount"`
}

// Offer is a variant of a resource. Slug is the offer of a booking request.
type Offer struct {
	Slug        string `json:"slug"`
	Name        string `json:"name"`
	SlotMinutes int    `json:"slotMinutes"`
	StepMinutes int    `json:"stepMinutes"`
	Amount      int64  `json:"amount"`
	Currency    string `json:"currency"`
}

// ResourceOf converts a resource with its active offers.
func ResourceOf(r booking.Resource) Resource {
	v := Resource{
		ID: r.ID, Slug: r.Slug, Name: r.Name, Description: r.Description, TimeZone: r.TimeZone,
		Capacity: r.Capacity, SlotMinutes: minutes(r.SlotLength), StepMinutes: minutes(r.SlotStep),
		Amount: r.Price.Minor, Currency: r.Price.Currency,
		Policy: Policy{
			Cancellable: !r.Policy.Never, FreeUntilMinutes: minutes(r.Policy.FreeUntil),
			ClosedFromMinutes: minutes(r.Policy.ClosedFrom),
			FeePercent:        r.Policy.FeePercent, FeeAmount: r.Policy.FeeMinor,
		},
		Offers: []Offer{},
	}
	for _, o := range r.Offers {
		if !o.Inactive {
			v.Offers = append(v.Offers, Offer{
				Slug: o.Slug, Name: o.Name, SlotMinutes: minutes(o.SlotLength), StepMinutes: minutes(o.SlotStep),
				Amount: o.Price.Minor, Currency: o.Price.Currency,
			})
		}
	}
	return v
}

func minutes(d time.Duration) int { return int(d / time.Minute) }
