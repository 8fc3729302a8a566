// Package calendar formats bookings as iCalendar files (RFC 5545).
//
// The problem is that calendar programs keep what they imported. In a carelessly written
// file, a booking that is moved or cancelled becomes a second event, a clock change
// shifts an hour, a comma truncates a name, and a line break in a name adds lines to the
// file.
//
// So [File] formats one booking for its customer and [Feed] those of a resource for
// staff, as [booking.Store.Feed] returns them. Both are pure functions, safe for
// concurrent use: the same input gives the same bytes.
//
//   - The UID of an event is the booking's id and a domain, and never changes; SEQUENCE is
//     [booking.Booking.Sequence]. So a program that has the event updates it.
//   - Times are in UTC, so that no file depends on the rules of a zone.
//   - DTSTAMP and LAST-MODIFIED are when the booking last changed.
//   - Lines end in CRLF and are folded at 75 octets between characters. Text is escaped:
//     whatever a program may read as the end of a line becomes a line break of the text, or
//     a space in a name. Other control characters are removed.
//
// # Which bookings have an event
//
//	booking              File                     Feed
//	pending              none: it may expire      TENTATIVE
//	confirmed            CONFIRMED                CONFIRMED
//	completed, no_show   CONFIRMED                CONFIRMED, the status in its description
//	cancelled            CANCELLED                CANCELLED
//	expired              none                     none
//	block                none: no customer        CONFIRMED, "Blocked"
//
// A file is read once and kept, so a hold has none until it is confirmed. A feed is read
// repeatedly, and events that it no longer has disappear from calendars.
//
// Serve both as [ContentType]. A feed is protected by its address alone: do not log it.
// It contains customers' names, but no e-mail addresses and no amounts.
//
// Invitations that are answered, alarms and reading are left out: bookings in another
// calendar do not take slots here.
package calendar
