// Package notify is an outbox of messages in Postgres: a message is written in the
// transaction of the change that it tells of, and sent later, outside every transaction.
//
// The problem is that a mail server cannot take part in a transaction. A program that
// sends before COMMIT tells of changes that are rolled back; one that sends after it
// forgets messages when it ends in between. So [Store.Enqueue] inserts a row with the
// change, and [Store.Run] sends the rows that are due through a [Sender], on every replica
// at once.
//
// A message is sent once, unless the process or the connection ends after the server
// accepted the mail and before that is recorded: then it is sent again with the same
// Message-ID, by which a repeat is recognised, and [Message.Uncertain] counts it.
//
// The row says what is to be told, not the text. [Kind.Compose] makes the mail when it is
// about to be sent, from the state at that time, or drops a message that is no longer true,
// such as the reminder of a cancelled booking. So the table has little personal data, and
// no secret such as the link to a booking.
//
// The migration set Notify is its only table. Package bookingmail has the messages about
// bookings and payments, package smtp a Sender.
package notify
