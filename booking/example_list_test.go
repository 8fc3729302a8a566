package booking_test

import (
	"fmt"
	"log"

	"github.com/booking-platform/booking-platform/booking"
)

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
