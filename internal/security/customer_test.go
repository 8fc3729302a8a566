//go:build linux

package security

import (
	"fmt"
	"net/http"
	"time"

	"github.com/stretchr/testify/require"
)

// someone returns an unused e-mail address.
func (c *cluster) someone() string { return fmt.Sprintf("someone%04d@example.com", c.serial.Add(1)) }

// created is the response to POST /api/bookings.
type created struct{ ID, URL, StripeSessionID, Status, Token string }

// bookingRequest is the body of POST /api/bookings.
func bookingRequest(resource, start, email string) m {
	return m{"resource": resource, "start": start, "firstName": "Ada", "lastName": "Lovelace", "email": email}
}

// slots returns the free slots of a resource.
func (c *client) slots(resource string) (starts []string) {
	c.t.Helper()
	var free struct{ Items []struct{ Start string } }
	from := time.Now().AddDate(0, 0, 3).Format(time.DateOnly)
	c.get("/api/resources/"+resource+"/availability?from="+from).into(c.t, &free)
	for _, s := range free.Items {
		starts = append(starts, s.Start)
	}
	require.NotEmpty(c.t, starts)
	return starts
}

// book holds a slot.
func (c *client) book(resource, start, email string) (b created) {
	c.t.Helper()
	a := c.post("/api/bookings", bookingRequest(resource, start, email))
	require.Equal(c.t, http.StatusCreated, a.status, a.brief())
	a.into(c.t, &b)
	c.know("the token of a booking", b.Token)
	return b
}

// shown is a booking as its owner receives it.
type shown struct {
	ID, Status, Currency, Email, Start string
	Amount                             int64
	Payment                            struct{ Status string }
}

func (c *client) look(b created) (s shown) {
	c.t.Helper()
	a := c.get("/api/bookings/" + b.ID + "?token=" + b.Token)
	require.Equal(c.t, http.StatusOK, a.status, a.brief())
	a.into(c.t, &s)
	return s
}
