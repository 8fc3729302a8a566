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

// A customer moves a booking by a day. The new slot is taken and the old one freed, or
// nothing changes.
func ExampleStore_Reschedule() {
	moved, err := store.Reschedule(booking.WithActor(ctx, "customer"), booking.RescheduleRequest{
		ID: "019a2b3c-0000-7000-8000-000000000000", Start: start.AddDate(0, 0, 1), ByCustomer: true,
	})
	switch {
	case errors.Is(err, booking.ErrPolicy):
		fmt.Println("it is too late to move this booking")
	case errors.Is(err, booking.ErrSlotTaken):
		fmt.Println("somebody else has that time")
	case err != nil:
		log.Fatal(err)
	default:
		fmt.Println("now at", moved.Start, "which costs", moved.Difference, "more or less than what was paid")
	}
}

// Money has arrived for a hold that is over. Where the slot is still to be had it is
// taken again; else the money goes back.
func ExampleStore_Retake() {
	_, err := store.Retake(ctx, "019a2b3c-0000-7000-8000-000000000000")
	if errors.Is(err, booking.ErrSlotTaken) || errors.Is(err, booking.ErrSlotGone) {
		fmt.Println("refund in full")
	} else if err != nil {
		log.Fatal(err)
	}
}

// Two of a court's units are out of order for a morning. Who has booked meanwhile is
// named, and nobody is turned away by surprise.
func ExampleStore_Block() {
	block, err := store.Block(booking.WithActor(ctx, "user:ada@example.com"), booking.BlockRequest{
		Resource: "court-1", From: start, To: start.Add(3 * time.Hour), Units: 2, Reason: "new floor",
	})
	var conflict *booking.ConflictError
	if errors.As(err, &conflict) {
		for _, b := range conflict.Bookings {
			fmt.Println("in the way:", b.Start, b.Customer.Email)
		}
		return
	}
	if err != nil {
		log.Fatal(err)
	}
	// When the work is done, [booking.Store.Cancel] gives the units back.
	fmt.Println(block.ID)
}

// A resource is kept in a file or in the program, and made what that says at each start.
func ExampleStore_ApplyResource() {
	applied, err := store.ApplyResource(ctx, booking.Resource{
		Slug: "court-1", Name: "Court 1", TimeZone: "Europe/Paris", SlotLength: time.Hour, Capacity: 4, Active: true,
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

// What happened to a booking, for who answers the customer's call.
func ExampleStore_History() {
	changes, err := store.History(ctx, "019a2b3c-0000-7000-8000-000000000000")
	if err != nil {
		log.Fatal(err)
	}
	for _, c := range changes {
		fmt.Println(c.At, c.Actor, c.From, "to", c.To, c.Reason)
	}
}

// A link in a mail proves by its token that it is the customer's own.
func ExampleStore_Owned() {
	b, err := store.Owned(ctx, "019a2b3c-0000-7000-8000-000000000000", "the token of the link")
	if errors.Is(err, booking.ErrNotFound) {
		fmt.Println("not found, or not yours: the answer is the same")
		return
	}
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(b.Status)
}

// What is on a court on one day, by time, page by page.
func ExampleStore_List() {
	opts := booking.ListOptions{
		Order: booking.ByStart, Resource: "court-1", From: start, To: start.AddDate(0, 0, 1),
		Statuses: []booking.Status{booking.Pending, booking.Confirmed},
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

// How many bookings a customer has.
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

// A private calendar for staff: its address is shown once, and cannot be told again.
func ExampleStore_CreateFeed() {
	token, err := store.CreateFeed(ctx, "court-1")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("https://booking.example.com/calendar/" + token + ".ics")
}

// What a calendar program reads there; package calendar writes it.
func ExampleStore_Feed() {
	feed, err := store.Feed(ctx, "the token of the address")
	if errors.Is(err, booking.ErrNotFound) {
		fmt.Println("nobody's calendar")
	} else if err != nil {
		log.Fatal(err)
	}
	for _, b := range feed.Bookings {
		fmt.Println(b.Start, b.Customer.LastName, b.Party)
	}
}

// Somebody has left: all addresses of the court's calendar are dead, and those who stay
// get new ones.
func ExampleStore_DeleteFeeds() {
	n, err := store.DeleteFeeds(ctx, "court-1")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(n, "addresses taken back")
}
