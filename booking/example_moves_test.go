package booking_test

import (
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/booking-platform/booking-platform/booking"
)

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
