package payments

import "encoding/json"

// Parameters returns what is stored of the Checkout Session's parameters, as JSON: among
// them the customer's e-mail address, until [Payments.Erase]. Its fields are not
// specified.
func (p Payment) Parameters() json.RawMessage { return json.RawMessage(p.parameters) }
