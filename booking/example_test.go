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

// The examples are compiled, and not run: they have no database.
var (
	db    *sql.DB
	store *booking.Store
	ctx   = context.Background()
	start time.Time
)

// From an empty store to a booking that stands.
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
	// The customer pays, and then:
	confirmed, err := store.Confirm(ctx, held.ID)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(confirmed.Status)
}

// What a hold may answer, and what each answer means to the customer.
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
		fmt.Println("somebody was faster")
	case err != nil:
		log.Fatal(err)
	default:
		fmt.Println("held until", b.HoldExpiresAt, "for", b.Amount.Minor, b.Amount.Currency)
	}
}

// An order of the caller's and its booking are committed together; when Postgres ends the
// transaction in favour of another one, the whole of it is run again.
func ExampleStore_Tx() {
	order := func() error {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }()
		b, err := store.Tx(tx).Hold(ctx, booking.HoldRequest{
			Resource: "court-1", Start: start,
			Customer: booking.Customer{FirstName: "Ada", LastName: "Lovelace", Email: "ada@example.com"},
		})
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO orders (booking_id) VALUES ($1::uuid)`, b.ID); err != nil {
			return err
		}
		return tx.Commit()
	}
	err := order()
	for range 3 {
		if !booking.IsRetryable(err) {
			break
		}
		err = order()
	}
	if err != nil {
		log.Fatal(err)
	}
}

// A hold is confirmed when its money arrives; when that was too late, the slot may still
// be there.
func ExampleStore_ConfirmLate() {
	_, err := store.ConfirmLate(ctx, "019a2b3c-0000-7000-8000-000000000000")
	if errors.Is(err, booking.ErrHoldExpired) {
		fmt.Println("somebody else may have the slot: give the money back")
	}
}

// Holds whose time has passed are tidied away by a step that the program schedules, on
// every replica if it likes.
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
		fmt.Println(s.Start, "to", s.End, "for up to", s.Remaining)
	}
}

// When two rooms are free on one day, for an offer that both have.
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

// The first free time from tomorrow on.
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
