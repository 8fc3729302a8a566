// Package booking sells the time of resources, and never the same time twice.
//
// The problem is that a court, a studio or a tour with twelve seats is offered in slots,
// and many customers try to book the same slot at once, on many servers, and pay later or
// never. If the application checks that a slot is free and then inserts a booking,
// another server can do the same in between. Application locks are forgotten by the next
// code path, or make every customer wait.
//
// So Postgres itself refuses: each booking takes numbered units of its resource for a
// range of time, and an exclusion constraint forbids that two active bookings share a
// unit while their ranges overlap. Whatever code, replica or script writes to the table,
// a unit is not sold twice.
//
// # Life of a booking
//
// [Store.Hold] takes a slot for a party for a limited time: the booking is pending.
// [Store.Confirm] confirms it, [Store.Release] gives it up, and [Store.Extend] prolongs
// it up to a cap. An expired hold never blocks anyone; [Store.ReleaseExpired] cleans it
// up. [Store.Cancel] cancels a pending or confirmed booking, for its customer under the
// policy it was sold with ([Booking.Terms] shows that beforehand), and decides the
// refund. Once the booking has begun, [Store.Complete] and [Store.NoShow] record the
// outcome; [Store.CompletePast] completes the rest.
//
//	resource, err := store.CreateResource(ctx, booking.Resource{
//		Slug: "court-1", Name: "Court 1", TimeZone: "Europe/Paris",
//		SlotLength: time.Hour, Price: booking.Money{Minor: 2500, Currency: "eur"},
//	})
//	held, err := store.Hold(ctx, booking.HoldRequest{
//		Resource: "court-1", Start: start, Customer: customer,
//	})
//	// … the customer pays …
//	confirmed, err := store.Confirm(ctx, held.ID)
//
// [Store.Run] does the background work. Run it on every replica.
//
// A resource may have offers besides its own slot, with another length and price, which
// share its units ([HoldRequest.Offer]). Units are interchangeable: when enough capacity
// is free but no single set of units is, Hold gives other bookings different units.
// [Options] limit the open holds and upcoming bookings that cost nothing, of a customer
// and of a client, exactly and over all replicas, and give bookings owner tokens, for
// links that only the customer has ([Store.Owned]). [Store.Feed] reads a resource's
// private calendar, which package booking/calendar formats.
//
// # The caller's transaction
//
// [Store.Tx] offers the operations on bookings inside your transaction, so that an order
// and its booking commit together or not at all. Your tables may refer to
// booking_platform.bookings (id) and booking_platform.resources (id), both uuid, by
// foreign key; no other column is a stable interface. Change the rows through the store
// alone, except resources and opening hours: every replica notices when SQL changes them.
// If SQL lowers a capacity below what is sold, the bookings stay, and nothing more is
// sold until units are free.
//
// # Time and money
//
// Instants are returned in UTC. Slots follow the wall clock of the resource's zone: a
// skipped hour has no slots, and a repeated hour has its slots twice. A slot's length
// is real time. The database's clock decides whether a hold has expired or a start is too
// soon. A zone is a name that [LoadZone] accepts. [Date.At] converts a date and a time of
// day to an instant.
//
// A booking keeps its instants when its resource gets another zone or the rules of the
// zone change; use [Store.Reschedule] to keep its time of day. New slots follow the zone
// database of the program that offers them, which a replica reads again after a restart.
// Until all replicas have, they may disagree on where slots begin, and still sell no unit
// twice.
//
// Amounts are whole minor units of a currency.
//
// # Requirements
//
// Postgres 14 or later with the set Booking of package migrations, and any database/sql
// driver; lib/pq, with and without binary_parameters, and pgx are tested. [New] starts no
// goroutine. Every method of Store is safe for concurrent use, on any number of replicas;
// a Tx is not.
//
// examples/bookings-in-tx commits a booking with a row and a job of the service's;
// examples/pgx does so through pgx, with a batch and COPY.
//
// The package takes no payments, which are those of package payments, sends no mail and
// knows no users.
package booking
