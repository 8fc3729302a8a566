package booking

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"

	"github.com/booking-platform/booking-platform/internal/valid"
)

// Customer is who the booking is for. All three are required: the names at most 200
// characters each, the e-mail address a single bare one of at most 254.
type Customer struct {
	FirstName, LastName, Email string
}

// HoldRequest asks for a slot.
type HoldRequest struct {
	// Resource is an id or a slug.
	Resource string
	// Offer is the slug of one of the resource's offers, which has a length, a grid and a
	// price of its own; "" is the resource's own slot.
	Offer string
	// Start is the instant at which the slot begins, in any zone.
	Start time.Time
	// Party is how many come, up to the resource's capacity; 0 stands for 1. All of them
	// get in, or none.
	Party int
	// Customer is who it is for.
	Customer Customer
	// Reference is the caller's own, indexed, at most 255 characters: the id of an order,
	// say. It need not be unique.
	Reference string
	// IdempotencyKey makes a repeat of the same request answer with the same booking, its
	// OwnerToken included, instead of taking another: at most 255 characters. "" is no
	// key. Keys belong to the customer, whose e-mail address is compared without regard
	// to letter case: two customers may use the same one. The address is all that tells
	// customers apart, so a key should be random: a client that knows the address and the
	// key can use it first.
	IdempotencyKey string
	// Metadata is kept with the booking and returned: at most 50 entries and 16 KiB as
	// JSON.
	Metadata map[string]string
	// Client is where the request came from, a network address for example. It counts for
	// the limits of [Options] alone, and a repeat may come from another; at most 255
	// characters. "" is not limited by [Options.MaxHoldsPerClient].
	Client string
}

const (
	maxMetadataKeys  = 50
	maxMetadataBytes = 16 << 10
)

// Validate returns the [*ValidationError] of a request that no resource could satisfy, or
// nil, without a database. [Store.Check] applies the resource's rules as well.
func (r HoldRequest) Validate() error { return r.check().err() }

func (r HoldRequest) check() problems {
	p := problems{}
	if r.Resource == "" {
		p.add("resource", "is required")
	}
	p.add("start", instantProblem(r.Start))
	if r.Party < 0 {
		p.add("party", "must be at least 1")
	}
	p.add("firstName", valid.Required(r.Customer.FirstName, 200))
	p.add("lastName", valid.Required(r.Customer.LastName, 200))
	p.add("email", emailProblem(r.Customer.Email))
	p.add("reference", valid.Text(r.Reference, 255, ""))
	p.add("idempotencyKey", valid.Storable(r.IdempotencyKey, 255, ""))
	p.add("metadata", metadataProblem(r.Metadata))
	p.add("client", valid.Storable(r.Client, 255, ""))
	return p
}

func metadataProblem(m map[string]string) string {
	if len(m) > maxMetadataKeys {
		return fmt.Sprintf("has more than %d entries", maxMetadataKeys)
	}
	size := 0
	for key, value := range m {
		if size += len(key) + len(value); size > maxMetadataBytes {
			break
		}
		if p := valid.Storable(key, 255, ""); p != "" {
			return "has a key that " + p
		}
		if p := valid.Storable(value, maxMetadataBytes, "\n\r\t"); p != "" {
			return "has a value that " + p
		}
	}
	if size > maxMetadataBytes || len(metadataJSON(m)) > maxMetadataBytes {
		return "is larger than 16 KiB"
	}
	return ""
}

// metadataJSON writes an object, sorted by key; nil is the empty one.
func metadataJSON(m map[string]string) string {
	if len(m) == 0 {
		return "{}"
	}
	// Strings can always be written.
	text, _ := json.Marshal(m)
	return string(text)
}

// selling returns the rules of what is asked for, the offer's or those of the resource's
// own slot, and what is wrong with the request under them, whenever it is made.
func (r *rules) selling(req HoldRequest) (*rules, problems) {
	if sold, ok := r.forOffer(req.Offer); ok {
		return sold, sold.check(req)
	}
	p := r.check(req)
	// Which instants are starts, only the offer could tell.
	delete(p, "start")
	p.add("offer", "is not one of the resource's")
	return r, p
}

// hash tells requests under one idempotency key apart. It is over what was asked for,
// with the resource by its id, so that a repeat that names it by its slug is the same
// request. Without an offer it is what it was before there were offers: keys of that time
// are still known.
func (r HoldRequest) hash(resourceID string) []byte {
	// The instant was checked before, and strings can always be written.
	asked := []any{
		resourceID, r.Start.UTC(), r.Party, r.Customer.FirstName, r.Customer.LastName, customerKey(r.Customer.Email),
		r.Reference, metadataJSON(r.Metadata),
	}
	if r.Offer != "" {
		asked = append(asked, r.Offer)
	}
	text, _ := json.Marshal(asked)
	sum := sha256.Sum256(text)
	return sum[:]
}
