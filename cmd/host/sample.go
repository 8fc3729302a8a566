package main

import (
	"context"
	"errors"
	"time"

	"github.com/booking-platform/booking-platform/booking"
)

// addSample adds a resource to an empty development database. Two hosts that start at
// once add one.
func addSample(ctx context.Context, bookings *booking.Store) error {
	all, err := bookings.Resources(ctx)
	if err != nil || len(all) > 0 {
		return err
	}
	sample := booking.Resource{
		Slug:        "studio",
		Name:        "The Studio",
		Description: "A bright room with a piano, for one group at a time.",
		TimeZone:    "Europe/Paris",
		SlotLength:  time.Hour,
		Horizon:     60 * 24 * time.Hour,
		Price:       booking.Money{Minor: 2500, Currency: "eur"},
	}
	for day := time.Sunday; day <= time.Saturday; day++ {
		sample.Hours = append(sample.Hours, booking.Hours{Weekday: day, Opens: 9 * 60, Closes: 19 * 60})
	}
	_, err = bookings.CreateResource(ctx, sample)
	var taken *booking.ValidationError
	if errors.As(err, &taken) && taken.Fields["slug"] != "" {
		return nil
	}
	return err
}
