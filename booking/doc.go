// Package booking sells the time of resources, and never the same time twice.
//
// The problem: a room, a court, a tour with twelve seats is offered in slots; many
// customers reach for the same slot at once, on many servers, and pay a while later, or
// never. A check in the application sees a free slot and inserts a booking, and between
// the two another server does the same. Locks put in front of it are forgotten by the
// next code path, or make every customer wait.
//
// Here Postgres itself refuses: each booking takes numbered units of its resource for a
// range of time, and an exclusion constraint forbids that two active bookings share a
// unit while their ranges overlap. Whatever code, replica or script writes to the table,
// a unit is not sold twice.
//
// # Life of a booking
//
// [Store.Hold] takes a slot for a party, at once and for a while: the booking is pending.
// [Store.Confirm] makes it stand; [Store.Release] gives it back; a hold whose time has
// passed never keeps anyone out, and [Store.ReleaseExpired], which the program calls
// every now and then, tidies it away. [Store.Extend] keeps it for longer, up to a cap.
// [Store.Cancel] ends a pending or a confirmed one, under the policy it was sold with
// where its customer asks ([Booking.Terms] tell before), and says what is given back.
// Once it has begun, [Store.Complete] and [Store.NoShow] note what became of it, and
// [Store.CompletePast] does where nobody did.
//
//	resource, err := store.CreateResource(ctx, booking.Resource{Slug: "court-1", Name: "Court 1", TimeZone: "Europe/Paris",
//		SlotLength: time.Hour, Price: booking.Money{Minor: 2500, Currency: "eur"}})
//	held, err := store.Hold(ctx, booking.HoldRequest{Resource: "court-1", Start: start, Customer: customer})
//	// … the customer pays …
//	confirmed, err := store.Confirm(ctx, held.ID)
//
// A resource may have offers besides its own slot, of another length and price, which
// share its units: [HoldRequest.Offer] names one. Units are where somebody sits, and are
// nobody's for good: where enough heads are free for a slot, neighbours are re-seated and
// it is sold. [Options] limit the open holds and the upcoming free bookings of one
// customer and of one client, exactly, on however many replicas; and give bookings owner
// tokens, for links that only the customer has ([Store.Owned]). [Store.Feed] reads a
// private calendar of a resource, which package booking/calendar writes.
//
// # Somebody else's transaction
//
// [Store.Tx] gives the same operations inside a transaction of the caller's, so that an
// order and its booking commit together or not at all. Tables of the caller's may refer
// to booking_platform.bookings (id) and booking_platform.resources (id), both uuid, by
// foreign key; no other column is promised. The rows are the store's: they are read
// freely, and changed through it alone, except that a resource and its opening hours may
// be changed by SQL too, as every replica notices that. A capacity that is lowered by SQL
// below what is sold ends nothing that is sold, and sells nothing above it.
//
// # Time and money
//
// Instants are returned in UTC. What is a slot is judged by the wall clock of the
// resource's own zone, where an hour that is missing has no slots and one that comes
// twice has both; a slot's length is real time. Whether a hold has passed, or a start is
// too soon, is judged by the database's clock, never by that of a server. A zone is one
// of the names that [LoadZone] accepts on every machine; its rules are the system's, or
// those linked into the program where the system has none. [Date.At] is the one place
// where a date and a time of day become an instant.
//
// What is sold keeps its instants. Where a resource is given another zone, or the rules
// of its zone are changed between the booking and its slot, the booking begins and ends
// when it did, whatever the clock on the wall shows then, and stands in the way of what
// overlaps it in real time; whoever should come at the same hour by the clock is moved
// with [Store.Reschedule]. New slots follow the zone database of the program that offers
// them. A resource's zone is read together with its rules and kept with them in memory,
// so a replica takes up a new zone database when it is started again. Until all have,
// they may disagree on where slots begin, and still sell no unit twice.
//
// Amounts are whole minor units of a currency.
//
// # What it needs
//
// Postgres 14 or later with the set Booking of package migrations, and any database/sql
// driver: lib/pq, with binary_parameters or without, and pgx's are tested. A Store starts
// no goroutine, reads no environment and never closes the database it was given. Every
// method is safe for concurrent use, and on any number of replicas at once.
package booking
