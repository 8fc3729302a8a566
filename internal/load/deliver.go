package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/booking-platform/booking-platform/payments/stripetest"
)

func post(c net.Conn, body, signed string) (status int, answer string, err error) {
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	_, err = io.WriteString(c,
		"POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nStripe-Signature: "+signed+
			"\r\nContent-Length: "+strconv.Itoa(len(body))+"\r\n\r\n"+body)
	if err != nil {
		return 0, "", err
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	return res.StatusCode, string(text), err
}

// padding makes an event as large as one of Stripe's.
var padding = strings.Repeat("x", 4000)

func event(id, session string) string {
	return fmt.Sprintf(`{"id":%q,"object":"event","type":"checkout.session.completed","api_version":"2023-10-16",
"created":%d,"livemode":false,"data":{"object":{"id":%q,"object":"checkout.session","payment_status":"paid",
"amount_total":2500,"currency":"eur","payment_intent":"pi_%s","padding":%q}}}`,
		id, time.Now().Unix(), session, id, padding)
}

// forger sends deliveries with a wrong signature from one address, one per turn. keep
// reuses the connection.
type forger struct {
	address  string
	from     net.IP
	keep     bool
	answered *[600]atomic.Int64
}

func (f forger) run(ctx context.Context, turn <-chan time.Time) {
	var c net.Conn
	defer func() {
		if c != nil {
			_ = c.Close()
		}
	}()
	body := event("evt_forged", "cs_forged")
	for {
		select {
		case <-ctx.Done():
			return
		case <-turn:
		}
		if c == nil {
			fresh, err := dialFrom(ctx, f.from, f.address)
			if err != nil {
				f.answered[0].Add(1)
				continue
			}
			c = fresh
		}
		status, _, err := post(c, body, stripetest.Sign([]byte(body), "whsec_guess", time.Now()))
		if err != nil {
			status = 0
		}
		f.answered[status].Add(1)
		if err != nil || !f.keep {
			_ = c.Close()
			c = nil
		}
	}
}
