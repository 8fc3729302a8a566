// Package bookingmail has the messages about bookings and payments: it connects packages
// booking and payments with the outbox of package notify.
//
// The migration set BookingMail has triggers that put each change of a booking, and what
// happens to a payment beside that, into the outbox, in the statement that makes the change.
// [Mailer.Kinds] are the kinds of notify.Options that make mails of them: one for the
// customer, one for each address of the owner, and the reminder.
//
// What a mail says is read when it is sent: the booking, its resource and its payments. A
// message that is no longer true is dropped, such as the reminder of a booking that was
// moved. The customer's private link is computed then too, from the booking's nonce and the
// owner secret; it is never stored.
package bookingmail
