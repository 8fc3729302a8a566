// Package calendar writes bookings as iCalendar files (RFC 5545), which every calendar
// program reads.
//
// The problem: a customer wants the booking in their own calendar, and staff want the
// day's bookings in theirs. Both keep what they were given, so that a booking which is
// moved or cancelled later is, in a file written carelessly, a second event beside the
// first; an hour that a summer time shifted; a name with a comma in it cut short, or one
// with a line break in it that writes lines of its own.
//
// [File] is one booking for its customer; [Feed] is many of one resource for staff, as
// [booking.Store.Feed] returns them. Both are functions of what they are given: they ask
// no database, no clock and no network, the same input gives the same bytes, and they are
// safe for concurrent use.
//
//   - An event's UID is the booking's id and a domain, and stays the same for good;
//     SEQUENCE is [booking.Booking.Sequence], which a move or a cancellation raises. So a
//     program that has the event changes it.
//   - Times are in UTC, so that no file needs the rules of a zone, and none is wrong when
//     they change.
//   - DTSTAMP and LAST-MODIFIED are when the booking last changed.
//   - Lines end in CRLF and are folded at 75 octets, never within a character. Text is
//     escaped; whatever a program may take for the end of a line becomes a line break of
//     the text, and in a name a space. Other control characters are left out.
//
// # Which bookings have an event
//
//	booking              File                     Feed
//	pending              none: it may lapse       TENTATIVE
//	confirmed            CONFIRMED                CONFIRMED
//	completed, no_show   CONFIRMED                CONFIRMED, the status in its description
//	cancelled            CANCELLED                CANCELLED
//	expired              none                     none
//	block                none: it is nobody's     CONFIRMED, "Blocked"
//
// A file is read once and then kept, so a hold has none until it is confirmed. A feed is
// read again and again, and what it no longer has goes from the calendars that show it.
//
// Serve both as [ContentType]. A feed's address is all that protects it: it is not to be
// logged, and it tells customers' names, though no e-mail addresses and no amounts, to
// whoever has it.
package calendar
