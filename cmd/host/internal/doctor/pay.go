package doctor

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// tidyLimit is for cancelling what was booked, whatever has become of the rest, and for
// what a host does by itself within seconds.
const tidyLimit = 45 * time.Second

// trial is the booking that a visit makes.
type trial struct {
	ID              string `json:"id"`
	URL             string `json:"url"`
	Token           string `json:"token"`
	StripeSessionID string `json:"stripeSessionId"`
	Status          string `json:"status"`
	start           string
	resource        string
}

// shown is the booking as its owner sees it.
type shown struct {
	Status  string `json:"status"`
	Amount  int64  `json:"amount"`
	Refund  *int64 `json:"refund"`
	Payment struct {
		Status         string `json:"status"`
		AmountPaid     int64  `json:"amountPaid"`
		AmountRefunded int64  `json:"amountRefunded"`
	} `json:"payment"`
}

// pay books a slot, has it paid for, looks whether that came to one booking, one payment
// and one event, and gives it all back.
func (v *visitor) pay(ctx context.Context) []Finding {
	standIn, refused := v.payMode(ctx)
	if refused != nil {
		return []Finding{*refused}
	}
	resource, start, bad := v.slot(ctx)
	if bad != nil {
		return []Finding{*bad}
	}
	t, bad := v.book(ctx, resource, start)
	if bad != nil {
		return []Finding{*bad}
	}
	found := []Finding{ok(PaySlot, "booked "+resource+" at "+start)}
	paid := false
	if !standIn && !strings.HasPrefix(t.StripeSessionID, "cs_test_") {
		found = append(found, problem(PayMode,
			"the host is in Stripe's live mode: nothing was paid, and the booking is cancelled again",
			"Do a test payment only on a host with a key of test mode (sk_test_…)."))
	} else {
		found = append(found, ok(PayMode, "test mode"))
		var more []Finding
		more, paid = v.settle(ctx, t, standIn)
		found = append(found, more...)
	}
	// Also when the command was interrupted: the slot is somebody's.
	tidy, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyLimit)
	defer cancel()
	return append(found, v.undo(tidy, t, paid)...)
}

// payMode finds out whether money could move. Only a host in development has the
// stand-in, and that one answers as Stripe does.
func (v *visitor) payMode(ctx context.Context) (standIn bool, refused *Finding) {
	refuse := func(found string) *Finding {
		f := problem(PayMode, found, "Do a test payment only on a host in test mode, with its STRIPE_SECRET_KEY (sk_test_…) in the environment of this command.")
		return &f
	}
	if mode(v.StripeKey) == "live" {
		return false, refuse("STRIPE_SECRET_KEY is a live one: nothing was booked")
	}
	r, err := v.get(ctx, "/stripe/v1/events")
	if err != nil {
		f := failed(PayMode, err)
		return false, &f
	}
	if r.status == http.StatusUnauthorized && strings.Contains(r.header.Get("WWW-Authenticate"), "Stripe") {
		return true, nil
	}
	if mode(v.StripeKey) != "test" {
		return false,
			refuse("the host has no stand-in for Stripe, and nothing says that it is in test mode: nothing was booked")
	}
	return false, nil
}

// slot chooses what to book: the last free slot that can be cancelled for nothing, which
// customers miss least.
func (v *visitor) slot(ctx context.Context) (resource, start string, bad *Finding) {
	no := func(found, remedy string) (string, string, *Finding) {
		f := problem(PaySlot, found, remedy)
		return "", "", &f
	}
	var all struct {
		Items []struct {
			Slug   string `json:"slug"`
			Amount int64  `json:"amount"`
			Policy struct {
				Cancellable      bool `json:"cancellable"`
				FreeUntilMinutes int  `json:"freeUntilMinutes"`
			} `json:"policy"`
		} `json:"items"`
	}
	r, err := v.get(ctx, "/api/resources")
	if err != nil || r.status != http.StatusOK || r.into(&all) != nil {
		return no(fmt.Sprintf("the resources could not be listed (%d)", r.status),
			"Look for the request in the host's log.")
	}
	const which = "Name one that costs something and that its customer may cancel: -resource slug."
	if v.Resource == "" && len(all.Items) == 1 {
		v.Resource = all.Items[0].Slug
	}
	for _, item := range all.Items {
		if item.Slug != v.Resource {
			continue
		}
		if item.Amount == 0 || !item.Policy.Cancellable {
			return no(item.Slug+" costs nothing, or cannot be cancelled by its customer: nothing was booked", which)
		}
		free := time.Duration(item.Policy.FreeUntilMinutes) * time.Minute
		start, err := v.lastFree(ctx, item.Slug, time.Now().Add(free))
		if err != nil || start == "" {
			return no(item.Slug+" has no free slot within seven weeks that could be cancelled for nothing",
				"Name another resource: -resource slug.")
		}
		return item.Slug, start, nil
	}
	if v.Resource == "" {
		return no(fmt.Sprintf("there are %d resources: nothing was booked", len(all.Items)), which)
	}
	return no("there is no active resource "+v.Resource, which)
}

// lastFree is the last free slot of the last week, of seven after an instant, that has
// any; empty when none has.
func (v *visitor) lastFree(ctx context.Context, slug string, after time.Time) (string, error) {
	for week := 6; week >= 0; week-- {
		from := after.Add(time.Duration(week)*7*24*time.Hour + time.Minute)
		slots, err := v.freeSlots(ctx, slug, from, from.Add(7*24*time.Hour))
		if err != nil {
			return "", err
		}
		if len(slots) > 0 {
			return slots[len(slots)-1], nil
		}
	}
	return "", nil
}

func (v *visitor) freeSlots(ctx context.Context, slug string, from, to time.Time) ([]string, error) {
	query := url.Values{"from": {from.UTC().Format(time.RFC3339)}, "to": {to.UTC().Format(time.RFC3339)}}
	r, err := v.get(ctx, "/api/resources/"+url.PathEscape(slug)+"/availability?"+query.Encode())
	if err != nil {
		return nil, err
	}
	var free struct {
		Items []struct {
			Start string `json:"start"`
		} `json:"items"`
	}
	if r.status != http.StatusOK || r.into(&free) != nil {
		return nil, fmt.Errorf("the free slots could not be listed (%d)", r.status)
	}
	var starts []string
	for _, slot := range free.Items {
		starts = append(starts, slot.Start)
	}
	return starts, nil
}

// book holds the slot and makes its Checkout.
func (v *visitor) book(ctx context.Context, resource, start string) (*trial, *Finding) {
	body, err := json.Marshal(map[string]string{
		"resource": resource, "start": start, "firstName": "Host", "lastName": "Doctor", "email": "doctor@example.com",
	})
	if err != nil {
		f := failed(PaySlot, err)
		return nil, &f
	}
	r, err := v.request(ctx, http.MethodPost, "/api/bookings", string(body), "Content-Type", "application/json",
		"Idempotency-Key", "doctor-"+rand.Text())
	if err != nil {
		f := failed(PaySlot, fmt.Errorf("%w; should a booking of doctor@example.com have been made, it ends by itself",
			err))
		return nil, &f
	}
	t := &trial{start: start, resource: resource}
	if r.status != http.StatusCreated || r.into(t) != nil || t.ID == "" || t.Token == "" {
		f := problem(PaySlot, fmt.Sprintf("booking %s at %s is answered %d (%s)", resource, start, r.status, codeOf(r)),
			"Look for the request in the host's log; payment_unavailable means that Stripe could not be asked, payment_refused that it will refuse again.")
		return nil, &f
	}
	return t, nil
}

// codeOf is the code of an error of the host's.
func codeOf(r reply) string {
	var body struct {
		Error string `json:"error"`
	}
	_ = r.into(&body)
	return body.Error
}
