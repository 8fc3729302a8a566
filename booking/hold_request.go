package booking

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"

	"github.com/booking-platform/booking-platform/internal/valid"
)

// Customer is the person the booking is for.
type Customer struct {
	// FirstName is required. LastName may be "", for people with one name and forms that
	// ask for no more; at most 200 characters each.
	FirstName, LastName string
	// Email is one bare address of at most 254 characters.
	Email string
	// Phone is "" or a number as the customer wrote it: at most 40 characters, 3 to 20
	// digits with spaces and + - ( ) . between them. It is stored unchanged: without a
	// country code it can be called but not normalised.
	Phone string
}

// Name returns the first and the last name.
func (c Customer) Name() string {
	if c.LastName == "" {
		return c.FirstName
	}
	return c.FirstName + " " + c.LastName
}

// HoldRequest is the slot to hold.
type HoldRequest struct {
	// Resource is an id or a slug.
	Resource string
	// Offer is the slug of an offer of the resource's; "" is its own slot.
	Offer string
	// Start is the slot's beginning, in any zone.
	Start time.Time
	// Party is how many people, up to the resource's capacity; 0 means 1.
	Party    int
	Customer Customer
	// Note is for staff, possibly several lines; at most 1000 characters.
	Note string
	// Language is the customer's, such as "fr", a BCP 47 tag of at most 35 characters; ""
	// if unknown. A repeat does not change it.
	Language string
	// Reference is the caller's, an order's id for example; indexed, not unique, at most
	// 255 characters.
	Reference string
	// IdempotencyKey makes a repeat return the same booking; at most 255 characters, ""
	// for none. Keys belong to the customer, by the e-mail address alone, compared
	// without case. So a key should be random: a client that knows both can use it first.
	IdempotencyKey string
	// Metadata is stored: at most 50 entries and 16 KiB as JSON.
	Metadata map[string]string
	// Client is the origin of the request for the limits of [Options]; at most 255
	// characters. Of an IP address with a port, such as http.Request.RemoteAddr, the
	// address counts; behind a proxy that is the proxy's. Other texts count as they are,
	// such as a network or a user's id.
	Client string
}

const (
	maxNote          = 1000
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
	p.add("lastName", valid.Optional(r.Customer.LastName, 200))
	p.add("email", emailProblem(r.Customer.Email))
	p.add("phone", valid.Phone(r.Customer.Phone))
	p.add("note", valid.Text(r.Note, maxNote, "\n\r\t"))
	p.add("language", languageProblem(r.Language))
	p.add("reference", valid.Text(r.Reference, 255, ""))
	p.add("idempotencyKey", valid.Storable(r.IdempotencyKey, 255, ""))
	p.add("metadata", metadataProblem(r.Metadata))
	p.add("client", valid.Storable(r.Client, 255, ""))
	return p
}

func languageProblem(tag string) string {
	for _, c := range tag {
		if c != '-' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return "must be a language tag such as fr"
		}
	}
	if len(tag) > 35 {
		return "must have at most 35 characters"
	}
	return ""
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

func metadataJSON(m map[string]string) string {
	if len(m) == 0 {
		return "{}"
	}
	text, _ := json.Marshal(m)
	return string(text)
}

// forRequest returns the offer's rules, and the request's problems that do not depend on
// its time.
func (r *rules) forRequest(req HoldRequest) (*rules, problems) {
	if sold, ok := r.forOffer(req.Offer); ok {
		return sold, sold.check(req)
	}
	p := r.check(req)
	// Only the offer knows what a start is.
	delete(p, "start")
	p.add("offer", "is not one of the resource's")
	return r, p
}

// hash identifies the request under its idempotency key, with the resource's id, so that
// id and slug are the same. Without an offer, a phone number and a note it is what it was
// before there were any, for keys in use.
func (r HoldRequest) hash(resourceID string) []byte {
	// The instant was checked before, and strings cannot fail.
	asked := []any{
		resourceID, r.Start.UTC(), r.Party, r.Customer.FirstName, r.Customer.LastName, customerKey(r.Customer.Email),
		r.Reference, metadataJSON(r.Metadata),
	}
	more := r.Customer.Phone != "" || r.Note != ""
	if r.Offer != "" || more {
		asked = append(asked, r.Offer)
	}
	if more {
		asked = append(asked, r.Customer.Phone, r.Note)
	}
	text, _ := json.Marshal(asked)
	sum := sha256.Sum256(text)
	return sum[:]
}
