package booking_test

import (
	"errors"
	"fmt"
	"log"

	"github.com/booking-platform/booking-platform/booking"
)

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
