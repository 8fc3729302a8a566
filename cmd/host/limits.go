package main

import (
	"time"

	"github.com/booking-platform/booking-platform/cmd/host/internal/middleware"
)

// usual is what a request of most routes may cost: a page, a form, a JSON object.
var usual = middleware.Limits{Body: 64 << 10, Read: 10 * time.Second, Time: 15 * time.Second}

// routeLimits are those of the routes that need others, by the path template of the
// router.
var routeLimits = map[string]middleware.Limits{
	// Real events pass 64 KiB at times. The receiver bounds its work itself, and goes on
	// with it when the sender has gone.
	"/webhook": {Body: 1 << 20, Read: 10 * time.Second, Time: 25 * time.Second},
	// An address and a password, before anybody is known.
	"/auth/login": {Body: 8 << 10, Read: 5 * time.Second, Time: 15 * time.Second},
	"/login":      {Body: 8 << 10, Read: 5 * time.Second, Time: 15 * time.Second},
	// Nothing is read. A prober has given up by then.
	"/health":      {Body: 0, Read: time.Second, Time: 5 * time.Second},
	"/health/db":   {Body: 0, Read: time.Second, Time: 5 * time.Second},
	"/static/":     {Body: 0, Read: time.Second, Time: 5 * time.Second},
	"/logout":      {Body: 1 << 10, Read: 5 * time.Second, Time: 15 * time.Second},
	"/auth/logout": {Body: 1 << 10, Read: 5 * time.Second, Time: 15 * time.Second},
}

// limitsOf are the limits of a route.
func limitsOf(template string) middleware.Limits {
	if l, ok := routeLimits[template]; ok {
		return l
	}
	return usual
}
