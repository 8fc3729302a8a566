package booking_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/booking-platform/booking-platform/booking"
)

// The examples are compiled but not run: they have no database.
var (
	db    *sql.DB
	store *booking.Store
	ctx   = context.Background()
	start time.Time
)

// From an empty store to a confirmed booking.
func Example() {
	store, err := booking.New(db, booking.Options{})
	if err != nil {
		log.Fatal(err)
	}
	court, err := store.CreateResource(ctx, booking.Resource{
		Slug: "court-1", Name: "Court 1", TimeZone: "Europe/Paris", SlotLength: time.Hour,
		Price: booking.Money{Minor: 2500, Currency: "eur"},
		Hours: []booking.Hours{{Weekday: time.Saturday, Opens: 9 * 60, Closes: 18 * 60}},
	})
	if err != nil {
		log.Fatal(err)
	}
	slots, err := store.Slots(ctx, court.ID, time.Now(), time.Now().AddDate(0, 0, 14), 1)
	if err != nil || len(slots) == 0 {
		log.Fatal(err)
	}
	held, err := store.Hold(ctx, booking.HoldRequest{
		Resource: court.ID, Start: slots[0].Start,
		Customer: booking.Customer{FirstName: "Ada", LastName: "Lovelace", Email: "ada@example.com"},
	})
	if err != nil {
		log.Fatal(err)
	}
	// When the customer has paid:
	confirmed, err := store.Confirm(ctx, held.ID)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(confirmed.Status)
}

// The errors of Hold.
func ExampleStore_Hold() {
	b, err := store.Hold(ctx, booking.HoldRequest{
		Resource: "court-1", Start: start, Party: 2, IdempotencyKey: "cart-42", Reference: "order-42",
		Customer: booking.Customer{FirstName: "Ada", LastName: "Lovelace", Email: "ada@example.com"},
	})
	var invalid *booking.ValidationError
	switch {
	case errors.As(err, &invalid):
		for field, problem := range invalid.Fields {
			fmt.Println(field, problem)
		}
	case errors.Is(err, booking.ErrSlotTaken):
		fmt.Println("the slot was taken meanwhile")
	case err != nil:
		log.Fatal(err)
	default:
		fmt.Println("held until", b.HoldExpiresAt, "for", b.Amount.Minor, b.Amount.Currency)
	}
}

// An order of the caller's and its booking are committed together.
func ExampleStore_InTx() {
	err := store.InTx(ctx, func(tx *sql.Tx, bookings *booking.Tx) error {
		b, err := bookings.Hold(ctx, booking.HoldRequest{
			Resource: "court-1", Start: start,
			Customer: booking.Customer{FirstName: "Ada", LastName: "Lovelace", Email: "ada@example.com"},
		})
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO orders (booking_id) VALUES ($1::uuid)`, b.ID)
		return err
	})
	if errors.Is(err, booking.ErrSlotTaken) {
		fmt.Println("the slot is taken")
	} else if err != nil {
		log.Fatal(err)
	}
}

// The caller ends the transaction, here a *sql.Tx of a queue's worker.
func ExampleStore_Tx() {
	work := func(tx *sql.Tx) error {
		_, err := store.Tx(tx).Confirm(ctx, "019a2b3c-0000-7000-8000-000000000000")
		return err // Roll back, and work again if booking.IsRetryable.
	}
	_ = work
}

// A payment arrives; after the hold's end the slot may still be free.
func ExampleStore_ConfirmLate() {
	_, err := store.ConfirmLate(ctx, "019a2b3c-0000-7000-8000-000000000000")
	if errors.Is(err, booking.ErrHoldExpired) {
		fmt.Println("the slot is taken: refund")
	}
}

// On any number of replicas.
func ExampleStore_ReleaseExpired() {
	for range time.Tick(30 * time.Second) {
		if _, err := store.ReleaseExpired(ctx); err != nil {
			log.Print(err)
		}
	}
}

// The free slots of the next week, for two.
func ExampleStore_Slots() {
	slots, err := store.Slots(ctx, "court-1", time.Now(), time.Now().AddDate(0, 0, 7), 2)
	if err != nil {
		log.Fatal(err)
	}
	for _, s := range slots {
		fmt.Println(s.Start, "to", s.End, "held until at most", s.Remaining)
	}
}

// When two resources have free slots on one day for an offer of both.
func ExampleStore_Availability() {
	found, err := store.Availability(ctx, booking.AvailabilityRequest{
		Resources: []string{"court-1", "court-2"}, Offer: "90-minutes", From: start, To: start.AddDate(0, 0, 1),
		Party: 2,
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, resource := range found {
		fmt.Println(resource.Slug, len(resource.Slots), "times")
	}
}

// The first free slot from tomorrow on.
func ExampleStore_NextSlot() {
	s, err := store.NextSlot(ctx, booking.NextSlotRequest{Resource: "court-1", After: time.Now().AddDate(0, 0, 1)})
	if errors.Is(err, booking.ErrNoSlot) {
		fmt.Println("sold out")
	} else if err != nil {
		log.Fatal(err)
	} else {
		fmt.Println(s.Start)
	}
}

// Show the terms of a cancellation, then cancel by the database's clock.
func ExampleStore_Cancel() {
	b, err := store.Get(ctx, "019a2b3c-0000-7000-8000-000000000000")
	if err != nil {
		log.Fatal(err)
	}
	if terms := b.Terms(time.Now()); terms.Allowed {
		fmt.Println("free until", terms.FreeUntil, "refund now:", terms.Refund.Minor, terms.Refund.Currency)
	}
	cancelled, err := store.Cancel(booking.WithActor(ctx, "customer"),
		booking.CancelRequest{ID: b.ID, ByCustomer: true, Reason: "ill"})
	switch {
	case errors.Is(err, booking.ErrPolicy):
		fmt.Println("too late to cancel")
	case err != nil:
		log.Fatal(err)
	case cancelled.Refund != nil:
		fmt.Println("refund:", cancelled.Refund.Minor, cancelled.Refund.Currency)
	default:
		fmt.Println("not paid yet")
	}
}

// Staff may cancel at any time and set the refund.
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

func ExampleStore_Complete() {
	const id = "019a2b3c-0000-7000-8000-000000000000"
	_, err := store.NoShow(ctx, id)
	if errors.Is(err, booking.ErrNotBegun) {
		fmt.Println("not started yet")
		return
	}
	if _, err = store.Complete(ctx, id); err != nil {
		log.Fatal(err)
	}
}

// Bookings are completed a day after their end.
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

// For a week, or up to the resource's cap, while a payment is processed.
func ExampleStore_Extend() {
	b, err := store.Extend(ctx, "019a2b3c-0000-7000-8000-000000000000", time.Now().AddDate(0, 0, 7))
	if errors.Is(err, booking.ErrHoldExpired) {
		fmt.Println("the hold has reached its cap")
	} else if err != nil {
		log.Fatal(err)
	} else {
		fmt.Println("held until", b.HoldExpiresAt)
	}
}

// Both slots change together or not at all.
func ExampleStore_Reschedule() {
	moved, err := store.Reschedule(booking.WithActor(ctx, "customer"), booking.RescheduleRequest{
		ID: "019a2b3c-0000-7000-8000-000000000000", Start: start.AddDate(0, 0, 1), ByCustomer: true,
	})
	switch {
	case errors.Is(err, booking.ErrPolicy):
		fmt.Println("too late to reschedule")
	case errors.Is(err, booking.ErrSlotTaken):
		fmt.Println("the slot is taken")
	case err != nil:
		log.Fatal(err)
	default:
		fmt.Println("now at", moved.Start, "which costs", moved.Difference, "amounts differ")
	}
}

// Money has arrived for an expired hold: take the slot again, else refund.
func ExampleStore_Retake() {
	_, err := store.Retake(ctx, "019a2b3c-0000-7000-8000-000000000000")
	if errors.Is(err, booking.ErrSlotTaken) || errors.Is(err, booking.ErrSlotGone) {
		fmt.Println("refund in full")
	} else if err != nil {
		log.Fatal(err)
	}
}

// Two units of a court are unavailable for a morning.
func ExampleStore_Block() {
	block, err := store.Block(booking.WithActor(ctx, "user:ada@example.com"), booking.BlockRequest{
		Resource: "court-1", From: start, To: start.Add(3 * time.Hour), Units: 2, Reason: "new floor",
	})
	var conflict *booking.ConflictError
	if errors.As(err, &conflict) {
		for _, b := range conflict.Bookings {
			fmt.Println("conflict:", b.Start, b.Customer.Email)
		}
		return
	}
	if err != nil {
		log.Fatal(err)
	}
	// [booking.Store.Cancel] of the block frees the units.
	fmt.Println(block.ID)
}

// A resource is applied at each start.
func ExampleStore_ApplyResource() {
	applied, err := store.ApplyResource(ctx, booking.Resource{
		Slug: "court-1", Name: "Court 1", TimeZone: "Europe/Paris", SlotLength: time.Hour, Capacity: 4,
		Price:  booking.Money{Minor: 2500, Currency: "eur"},
		Policy: booking.Policy{FreeUntil: 48 * time.Hour, FeePercent: 50},
		Offers: []booking.Offer{{Slug: "90-minutes", Name: "90 minutes", SlotLength: 90 * time.Minute,
			Price: booking.Money{Minor: 3500, Currency: "eur"}}},
	}, booking.ApplyOptions{})
	var sold *booking.CapacityError
	if errors.As(err, &sold) {
		fmt.Println("as many as", sold.Sold, "are sold at one time, the first at", sold.Bookings[0].Start)
		return
	}
	if err != nil {
		log.Fatal(err)
	}
	for _, change := range applied.Changes {
		fmt.Println(change)
	}
}

// The history of a booking, for support.
func ExampleStore_History() {
	changes, err := store.History(ctx, "019a2b3c-0000-7000-8000-000000000000")
	if err != nil {
		log.Fatal(err)
	}
	for _, c := range changes {
		fmt.Println(c.At, c.Actor, c.From, "to", c.To, c.Reason)
	}
}

// A link in a mail carries the owner token.
func ExampleStore_Owned() {
	b, err := store.Owned(ctx, "019a2b3c-0000-7000-8000-000000000000", "token of the link")
	if errors.Is(err, booking.ErrNotFound) {
		fmt.Println("not found or wrong token")
		return
	}
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(b.Status)
}

// The bookings of a court on one day, by time, page by page.
func ExampleStore_List() {
	opts := booking.ListOptions{
		Order: booking.ByStart, Resource: "court-1", From: start, To: start.AddDate(0, 0, 1),
		Statuses: []booking.Status{booking.StatusPending, booking.StatusConfirmed},
	}
	for {
		page, err := store.List(ctx, opts)
		if err != nil {
			log.Fatal(err)
		}
		for _, b := range page.Bookings {
			fmt.Println(b.Start, b.Customer.LastName, b.Status)
		}
		if opts.After = page.Next; page.Next == "" {
			return
		}
	}
}

// The number of bookings of a customer.
func ExampleStore_Count() {
	sum, err := store.Count(ctx, booking.ListOptions{Customer: "ada@example.com"})
	if err != nil {
		log.Fatal(err)
	}
	if sum.More {
		fmt.Print("at least ")
	}
	fmt.Println(sum.N)
}

// The token is returned only once.
func ExampleStore_CreateFeed() {
	token, err := store.CreateFeed(ctx, "court-1")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("https://booking.example.com/calendar/" + token + ".ics")
}

// Package calendar writes a feed as a file.
func ExampleStore_Feed() {
	feed, err := store.Feed(ctx, "token of the feed")
	if errors.Is(err, booking.ErrNotFound) {
		fmt.Println("unknown feed")
	} else if err != nil {
		log.Fatal(err)
	}
	for _, b := range feed.Bookings {
		fmt.Println(b.Start, b.Customer.LastName, b.Party)
	}
}

// A member of staff has left: revoke all tokens and issue new ones.
func ExampleStore_DeleteFeeds() {
	n, err := store.DeleteFeeds(ctx, "court-1")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(n, "feeds deleted")
}

// A message for each confirmed, moved or cancelled booking, written with the change.
// Another process sends the rows of the outbox.
func ExampleOptions_onChange() {
	enqueue := func(ctx context.Context, tx booking.HookTx, c booking.Changed) error {
		subject := ""
		switch {
		case c.After.Kind == booking.KindBlock:
			return nil
		case c.From == c.To:
			subject = fmt.Sprintf("moved from %s to %s", c.FromStart, c.ToStart)
		case c.To == booking.StatusConfirmed:
			subject = "confirmed"
		case c.To == booking.StatusCancelled && c.From == booking.StatusConfirmed:
			subject = fmt.Sprintf("cancelled, %s is refunded", c.After.Refund)
		default:
			return nil
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO outbox (booking_id, recipient, subject) VALUES ($1, $2, $3)`,
			c.After.ID, c.After.Customer.Email, "Your booking is "+subject)
		return err
	}
	store, err := booking.New(db, booking.Options{OnChange: enqueue})
	if err != nil {
		log.Fatal(err)
	}
	// The confirmation and its message are committed together, or neither.
	if _, err := store.Confirm(ctx, "019…"); err != nil {
		log.Fatal(err)
	}
}
