package booking_test

import (
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/booking-platform/booking-platform/booking"
)

// A page shows what cancelling would give, and the customer then gets what the database's
// clock says.
func ExampleStore_Cancel() {
	b, err := store.Get(ctx, "019a2b3c-0000-7000-8000-000000000000")
	if err != nil {
		log.Fatal(err)
	}
	if terms := b.Terms(time.Now()); terms.Allowed {
		fmt.Println("free until", terms.FreeUntil, "and now you get back", terms.Refund.Minor, terms.Refund.Currency)
	}
	cancelled, err := store.Cancel(booking.WithActor(ctx, "customer"),
		booking.CancelRequest{ID: b.ID, ByCustomer: true, Reason: "ill"})
	switch {
	case errors.Is(err, booking.ErrPolicy):
		fmt.Println("it is too late to cancel")
	case err != nil:
		log.Fatal(err)
	case cancelled.Refund != nil:
		fmt.Println("to be given back:", cancelled.Refund.Minor, cancelled.Refund.Currency)
	default:
		fmt.Println("nothing was paid yet")
	}
}

// Staff are not bound by the policy, and say what is given back.
func ExampleStore_Cancel_byStaff() {
	refund := int64(1500)
	_, err := store.Cancel(booking.WithActor(ctx, "user:ada@example.com"), booking.CancelRequest{
		ID: "019a2b3c-0000-7000-8000-000000000000", Reason: "the roof leaks", Refund: &refund,
	})
	var invalid *booking.ValidationError
	if errors.As(err, &invalid) {
		fmt.Println("refund", invalid.Fields["refund"])
	}
}

// The desk notes who came, and corrects itself.
func ExampleStore_Complete() {
	const id = "019a2b3c-0000-7000-8000-000000000000"
	_, err := store.NoShow(ctx, id)
	if errors.Is(err, booking.ErrNotBegun) {
		fmt.Println("they may still come")
		return
	}
	if _, err = store.Complete(ctx, id); err != nil {
		log.Fatal(err)
	}
}

// What nobody noted has taken place, a day after its end.
func ExampleStore_CompletePast() {
	store, err := booking.New(db, booking.Options{CompleteAfter: 24 * time.Hour})
	if err != nil {
		log.Fatal(err)
	}
	for range time.Tick(10 * time.Minute) {
		if _, err := store.CompletePast(ctx); err != nil {
			log.Print(err)
		}
	}
}

// A hold is kept for a week while a bank makes up its mind, or for as long as the
// resource allows.
func ExampleStore_Extend() {
	b, err := store.Extend(ctx, "019a2b3c-0000-7000-8000-000000000000", time.Now().AddDate(0, 0, 7))
	if errors.Is(err, booking.ErrHoldExpired) {
		fmt.Println("it has been held for as long as it may be")
	} else if err != nil {
		log.Fatal(err)
	} else {
		fmt.Println("held until", b.HoldExpiresAt)
	}
}
