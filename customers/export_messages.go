package customers

import (
	"context"
	"encoding/json"
	"time"
)

type messageJSON struct {
	ID        string `json:"id"`
	Kind      string `json:"kind"`
	Reference string `json:"reference"`
	// Recipient is empty if it is the booking's address, or the owner's.
	Recipient string          `json:"recipient"`
	Language  string          `json:"language"`
	State     string          `json:"state"`
	Reason    string          `json:"reason"`
	Data      json.RawMessage `json:"data"`
	DueAt     time.Time       `json:"dueAt"`
	CreatedAt time.Time       `json:"createdAt"`
	SettledAt *time.Time      `json:"settledAt"`
}

func (c *Customers) messages(ctx context.Context, p person) (out []messageJSON, err error) {
	if c.parts.Messages == nil {
		return nil, nil
	}
	all, err := c.parts.Messages.Export(ctx, p.messages())
	for _, m := range all {
		one := messageJSON{ID: m.ID, Kind: m.Kind, Reference: m.Reference, Recipient: m.Recipient, Language: m.Language,
			State: string(m.State), Reason: m.Reason, Data: m.Data, DueAt: m.DueAt, CreatedAt: m.CreatedAt}
		if !m.SettledAt.IsZero() {
			one.SettledAt = &m.SettledAt
		}
		out = append(out, one)
	}
	return out, err
}
