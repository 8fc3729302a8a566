package customers

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"regexp"
	"strings"
	"time"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/webhook"
)

type moneyJSON struct {
	// Minor is in Stripe's minor units.
	Minor    int64  `json:"minor"`
	Currency string `json:"currency"`
	// Decimal is the amount in the currency, such as 25.00.
	Decimal string `json:"decimal"`
}

func moneyOf(m booking.Money) moneyJSON { return moneyJSON{m.Minor, m.Currency, m.Decimal()} }

func moneyOrNull(m *booking.Money) *moneyJSON {
	if m == nil {
		return nil
	}
	out := moneyOf(*m)
	return &out
}

type resourceJSON struct {
	ID       string `json:"id"`
	Slug     string `json:"slug"`
	Name     string `json:"name"`
	TimeZone string `json:"timeZone"`
}

type changeJSON struct {
	At        time.Time  `json:"at"`
	From      string     `json:"from"`
	To        string     `json:"to"`
	FromStart *time.Time `json:"fromStart"`
	ToStart   *time.Time `json:"toStart"`
	// By is the kind of actor, such as customer, user or stripe. Staff are not named.
	By     string `json:"by"`
	Reason string `json:"reason"`
}

type refundJSON struct {
	ID        string    `json:"id"`
	StripeID  string    `json:"stripeId"`
	Amount    moneyJSON `json:"amount"`
	Status    string    `json:"status"`
	Origin    string    `json:"origin"`
	Cause     string    `json:"cause"`
	Reason    string    `json:"reason"`
	Failure   string    `json:"failure"`
	CreatedAt time.Time `json:"createdAt"`
	UpdatedAt time.Time `json:"updatedAt"`
}

type disputeJSON struct {
	ID        string    `json:"id"`
	Amount    moneyJSON `json:"amount"`
	Status    string    `json:"status"`
	Outcome   string    `json:"outcome"`
	Reason    string    `json:"reason"`
	CreatedAt time.Time `json:"createdAt"`
	UpdatedAt time.Time `json:"updatedAt"`
}

type paymentJSON struct {
	ID              string    `json:"id"`
	Kind            string    `json:"kind"`
	Status          string    `json:"status"`
	StripeSessionID string    `json:"stripeSessionId"`
	PaymentIntentID string    `json:"stripePaymentIntentId"`
	Amount          moneyJSON `json:"amount"`
	Captured        moneyJSON `json:"captured"`
	Refunded        moneyJSON `json:"refunded"`
	Lost            moneyJSON `json:"lost"`
	Method          string    `json:"method"`
	Reference       string    `json:"reference"`
	Unapplied       string    `json:"unapplied"`
	Parked          string    `json:"parked"`
	ExpiresAt       time.Time `json:"expiresAt"`
	CreatedAt       time.Time `json:"createdAt"`
	UpdatedAt       time.Time `json:"updatedAt"`
	// Parameters are those of the Checkout Session.
	Parameters json.RawMessage `json:"parameters"`
	Refunds    []refundJSON    `json:"refunds"`
	Disputes   []disputeJSON   `json:"disputes"`
}

type bookingJSON struct {
	ID            string            `json:"id"`
	Number        string            `json:"number"`
	Resource      resourceJSON      `json:"resource"`
	Offer         string            `json:"offer"`
	Start         time.Time         `json:"start"`
	End           time.Time         `json:"end"`
	Party         int               `json:"party"`
	Status        string            `json:"status"`
	FirstName     string            `json:"firstName"`
	LastName      string            `json:"lastName"`
	Email         string            `json:"email"`
	Phone         string            `json:"phone"`
	Note          string            `json:"note"`
	Language      string            `json:"language"`
	Amount        moneyJSON         `json:"amount"`
	Refund        *moneyJSON        `json:"refund"`
	LateRefund    *moneyJSON        `json:"lateRefund"`
	Reference     string            `json:"reference"`
	Metadata      map[string]string `json:"metadata"`
	HoldExpiresAt time.Time         `json:"holdExpiresAt"`
	CreatedAt     time.Time         `json:"createdAt"`
	UpdatedAt     time.Time         `json:"updatedAt"`
	History       []changeJSON      `json:"history"`
	Payments      []paymentJSON     `json:"payments"`
}

type eventJSON struct {
	Receiver   string     `json:"receiver"`
	ID         string     `json:"id"`
	Type       string     `json:"type"`
	Outcome    string     `json:"outcome"`
	CreatedAt  *time.Time `json:"createdAt"`
	ReceivedAt time.Time  `json:"receivedAt"`
	LastError  string     `json:"lastError"`
	// Payload is Stripe's event, or null.
	Payload json.RawMessage `json:"payload"`
}

type sessionJSON struct {
	CreatedAt  time.Time `json:"createdAt"`
	LastSeenAt time.Time `json:"lastSeenAt"`
	ExpiresAt  time.Time `json:"expiresAt"`
}

type userJSON struct {
	ID        string        `json:"id"`
	Email     string        `json:"email"`
	Role      string        `json:"role"`
	Active    bool          `json:"active"`
	CreatedAt time.Time     `json:"createdAt"`
	UpdatedAt time.Time     `json:"updatedAt"`
	Sessions  []sessionJSON `json:"sessions"`
}

// Export writes what is kept about a customer, found by the e-mail address compared
// without case, as one JSON document; docs/privacy.md describes its fields. Times have
// the offset of the resource's zone for slots, else of UTC. Hashes of passwords and
// tokens, links, idempotency keys and the names of staff are left out.
//
// It is written while the database is read, 100 bookings at a time, so its parts are of
// slightly different moments. If nothing is kept, nothing is written and the error is
// [ErrUnknown]. After another error the document is incomplete, and no valid JSON.
func (c *Customers) Export(ctx context.Context, w io.Writer, email string) error {
	p, err := c.find(ctx, email)
	if err != nil {
		return err
	}
	events, err := c.events(ctx, p)
	if err != nil {
		return err
	}
	messages, err := c.messages(ctx, p)
	if err != nil {
		return err
	}
	if len(p.bookings) == 0 && p.account.ID == "" && len(events) == 0 && len(messages) == 0 {
		return ErrUnknown
	}
	out := &document{w: bufio.NewWriter(w)}
	out.field("email", p.email)
	out.field("exportedAt", time.Now().UTC().Truncate(time.Second))
	user, err := c.user(ctx, p)
	if err != nil {
		return err
	}
	out.field("user", user)
	out.begin("bookings")
	resources := map[string]booking.Resource{}
	err = c.eachPage(ctx, p.email, func(page []booking.Booking) error {
		return c.exportPage(ctx, out, page, resources)
	})
	if err != nil {
		return err
	}
	out.end()
	out.begin("events")
	for _, event := range events {
		out.item(event)
	}
	out.end()
	out.begin("messages")
	for _, message := range messages {
		out.item(message)
	}
	out.end()
	return out.close()
}

func (c *Customers) user(ctx context.Context, p person) (*userJSON, error) {
	if p.account.ID == "" {
		return nil, nil
	}
	sessions, err := c.parts.Users.Sessions(ctx, p.account.ID)
	if err != nil {
		return nil, err
	}
	user := &userJSON{p.account.ID, p.account.Email, p.account.Role, p.account.Active, p.account.CreatedAt,
		p.account.UpdatedAt, []sessionJSON{}}
	for _, s := range sessions {
		user.Sessions = append(user.Sessions, sessionJSON(s))
	}
	return user, nil
}

func (c *Customers) exportPage(ctx context.Context, out *document, page []booking.Booking,
	resources map[string]booking.Resource) error {
	ids := make([]string, len(page))
	for i, b := range page {
		ids[i] = b.ID
	}
	paid, err := c.payments(ctx, ids)
	if err != nil {
		return err
	}
	for _, b := range page {
		r, known := resources[b.ResourceID]
		if !known {
			if r, err = c.parts.Bookings.Resource(ctx, b.ResourceID); err != nil {
				return err
			}
			resources[b.ResourceID] = r
		}
		history, err := c.parts.Bookings.History(ctx, b.ID)
		if err != nil {
			return err
		}
		one, err := bookingOf(b, r, history)
		if err != nil {
			return err
		}
		if of := paid[b.ID]; of != nil {
			one.Payments = of
		}
		out.item(one)
	}
	return out.err
}

func bookingOf(b booking.Booking, r booking.Resource, history []booking.Change) (bookingJSON, error) {
	zone, err := r.Zone()
	if err != nil {
		return bookingJSON{}, err
	}
	one := bookingJSON{
		ID: b.ID, Number: b.Number, Resource: resourceJSON{r.ID, r.Slug, r.Name, r.TimeZone}, Offer: b.Offer,
		Start: b.Start.In(zone), End: b.End.In(zone), Party: b.Party, Status: string(b.Status),
		FirstName: b.Customer.FirstName, LastName: b.Customer.LastName, Email: b.Customer.Email,
		Phone: b.Customer.Phone, Note: b.Note, Language: b.Language,
		Amount: moneyOf(b.Amount), Refund: moneyOrNull(b.Refund), LateRefund: moneyOrNull(b.LateRefund),
		Reference: b.Reference, Metadata: b.Metadata, HoldExpiresAt: b.HoldExpiresAt, CreatedAt: b.CreatedAt,
		UpdatedAt: b.UpdatedAt, History: []changeJSON{}, Payments: []paymentJSON{},
	}
	at := func(t time.Time) *time.Time {
		if t.IsZero() {
			return nil
		}
		t = t.In(zone)
		return &t
	}
	for _, change := range history {
		by, _, _ := strings.Cut(change.Actor, ":")
		one.History = append(one.History, changeJSON{change.At, string(change.From), string(change.To),
			at(change.FromStart), at(change.ToStart), by, change.Reason})
	}
	return one, nil
}

// payments is by booking id.
func (c *Customers) payments(ctx context.Context, bookingIDs []string) (map[string][]paymentJSON, error) {
	of := map[string][]paymentJSON{}
	if c.parts.Payments == nil {
		return of, nil
	}
	all, err := c.parts.Payments.OfBookings(ctx, bookingIDs)
	if err != nil {
		return nil, err
	}
	for _, pay := range all {
		refunds, err := c.parts.Payments.Refunds(ctx, pay.ID)
		if err != nil {
			return nil, err
		}
		disputes, err := c.parts.Payments.Disputes(ctx, pay.ID)
		if err != nil {
			return nil, err
		}
		of[pay.BookingID] = append(of[pay.BookingID], paymentOf(pay, refunds, disputes))
	}
	return of, nil
}

func paymentOf(pay payments.Payment, refunds []payments.Refund, disputes []payments.Dispute) paymentJSON {
	one := paymentJSON{
		ID: pay.ID, Kind: string(pay.Kind), Method: pay.Method, Reference: pay.Reference, Status: string(pay.Status()),
		StripeSessionID: pay.SessionID,
		PaymentIntentID: pay.PaymentIntentID, Amount: moneyOf(pay.Amount), Captured: moneyOf(pay.Captured),
		Refunded: moneyOf(pay.Refunded), Lost: moneyOf(pay.Lost), Unapplied: pay.Unapplied, Parked: pay.ParkedReason,
		ExpiresAt: pay.ExpiresAt, CreatedAt: pay.CreatedAt, UpdatedAt: pay.UpdatedAt,
		Parameters: withoutLinks(pay.Parameters()),
		Refunds:    []refundJSON{}, Disputes: []disputeJSON{},
	}
	for _, r := range refunds {
		one.Refunds = append(one.Refunds, refundJSON{r.ID, r.StripeID, moneyOf(r.Amount), string(r.Status),
			string(r.Origin), r.Cause, r.Reason, r.Failure, r.CreatedAt, r.UpdatedAt})
	}
	for _, d := range disputes {
		one.Disputes = append(one.Disputes, disputeJSON{d.ID, moneyOf(d.Amount), string(d.Status), d.Outcome, d.Reason,
			d.CreatedAt, d.UpdatedAt})
	}
	return one
}

// ownerToken is what makes a link of the address to which a customer returns from Stripe,
// in the encoded parameters of a Checkout Session.
var ownerToken = regexp.MustCompile(`(?i)(%26|&|\\u0026|%3F|\?)token(%3D|=)[a-z0-9_-]+`)

func withoutLinks(parameters json.RawMessage) json.RawMessage {
	return ownerToken.ReplaceAll(parameters, nil)
}

func (c *Customers) events(ctx context.Context, p person) ([]eventJSON, error) {
	var out []eventJSON
	for _, ledger := range c.parts.Ledgers {
		records, err := ledger.Records(ctx, p.subject)
		if err != nil {
			return nil, err
		}
		for _, r := range records {
			out = append(out, eventOf(ledger.Name(), r))
		}
	}
	return out, nil
}

func eventOf(receiver string, r webhook.Record) eventJSON {
	event := eventJSON{Receiver: receiver, ID: r.ID, Type: r.Type, Outcome: string(r.Outcome), ReceivedAt: r.ReceivedAt,
		LastError: r.LastError}
	if !r.Created.IsZero() {
		event.CreatedAt = &r.Created
	}
	if json.Valid(r.Payload) {
		event.Payload = r.Payload
	}
	return event
}

// document writes a JSON object by field, and keeps the first error.
type document struct {
	w      *bufio.Writer
	err    error
	fields int
	items  int
}

func (d *document) text(s string) {
	if d.err == nil {
		_, d.err = d.w.WriteString(s)
	}
}

func (d *document) value(indent string, v any) {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent(indent, "  ")
	if err := encoder.Encode(v); err != nil && d.err == nil {
		d.err = err
	}
	d.text(strings.TrimSuffix(b.String(), "\n"))
}

func (d *document) name(name string) {
	if d.fields++; d.fields == 1 {
		d.text("{")
	} else {
		d.text(",")
	}
	d.text("\n  \"" + name + "\": ")
}

func (d *document) field(name string, v any) {
	d.name(name)
	d.value("  ", v)
}

func (d *document) begin(name string) {
	d.name(name)
	d.text("[")
	d.items = 0
}

func (d *document) item(v any) {
	if d.items++; d.items > 1 {
		d.text(",")
	}
	d.text("\n    ")
	d.value("    ", v)
}

func (d *document) end() {
	if d.items > 0 {
		d.text("\n  ")
	}
	d.text("]")
}

func (d *document) close() error {
	d.text("\n}\n")
	if d.err != nil {
		return d.err
	}
	return d.w.Flush()
}
