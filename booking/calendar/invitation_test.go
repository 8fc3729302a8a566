package calendar_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/booking/calendar"
)

func TestInvitation_RequestAndCancel(t *testing.T) {
	t.Parallel()
	opts := calendar.InvitationOptions{Organizer: "studio@example.com", OrganizerName: `Ann's "Studio"; Paris: a,b`,
		Attendee: "ada@example.com", Link: "https://example.com/success?booking=1"}
	for status, want := range map[booking.Status]string{
		booking.StatusConfirmed: "REQUEST", booking.StatusCancelled: "CANCEL",
	} {
		b := sold(func(b *booking.Booking) { b.Status, b.Sequence = status, 2 })
		file, method, err := calendar.Invitation(domain, court, b, opts)
		require.NoError(t, err)
		require.Equal(t, want, method)
		require.Equal(t, want, text(t, read(t, file).Props, "METHOD"))
		props := event(t, file).Props
		require.Equal(t, bookingID+"@example.com", text(t, props, "UID"), "that of File")
		sequence, err := props.Get("SEQUENCE").Int()
		require.NoError(t, err)
		require.Equal(t, 2, sequence)
		require.Equal(t, b.Start, instant(t, props, "DTSTART"))
		require.Equal(t, b.UpdatedAt.Truncate(time.Second), instant(t, props, "DTSTAMP"))
		require.Equal(t, "mailto:studio@example.com", props.Get("ORGANIZER").Value)
		require.Equal(t, "Ann’s Studio Paris a b", props.Get("ORGANIZER").Params.Get("CN"))
		attendee := props.Get("ATTENDEE")
		require.Equal(t, "mailto:ada@example.com", attendee.Value)
		require.Equal(t, "ACCEPTED", attendee.Params.Get("PARTSTAT"))
		require.Equal(t, "FALSE", attendee.Params.Get("RSVP"))
		if status == booking.StatusCancelled {
			require.Equal(t, "CANCELLED", text(t, props, "STATUS"))
		}
	}
}

func TestInvitation_Problems(t *testing.T) {
	t.Parallel()
	good := calendar.InvitationOptions{Organizer: "studio@example.com", Attendee: "ada@example.com"}
	for name, change := range map[string]func(*calendar.InvitationOptions, *booking.Booking){
		"no organizer": func(o *calendar.InvitationOptions, _ *booking.Booking) { o.Organizer = "" },
		"no attendee":  func(o *calendar.InvitationOptions, _ *booking.Booking) { o.Attendee = "" },
		"a line":       func(o *calendar.InvitationOptions, _ *booking.Booking) { o.Attendee = "ada@example.com\r\nX:y" },
		"link":         func(o *calendar.InvitationOptions, _ *booking.Booking) { o.Link = "javascript:alert(1)" },
		"hold":         func(_ *calendar.InvitationOptions, b *booking.Booking) { b.Status = booking.StatusPending },
	} {
		o, b := good, sold()
		change(&o, &b)
		_, _, err := calendar.Invitation(domain, court, b, o)
		require.Error(t, err, name)
	}
}
