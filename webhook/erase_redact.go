package webhook

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// redactedMark begins every redacted payload: its fields are sorted, and none of Stripe's
// begins with an underscore.
const redactedMark = `{"_redacted":true`

// personalFields of Stripe's objects describe a person. Their texts and numbers are
// blanked, also inside.
var personalFields = map[string]bool{
	"address": true, "billing_details": true, "business_name": true, "card": true, "collected_information": true,
	"custom_fields": true, "customer_address": true, "customer_details": true, "customer_email": true,
	"customer_email_address": true, "customer_name": true, "customer_phone": true, "customer_purchase_ip": true,
	"customer_shipping": true, "customer_tax_ids": true, "description": true, "email": true, "evidence": true,
	"first_name": true, "hosted_invoice_url": true, "individual": true, "individual_name": true, "invoice_pdf": true,
	"ip": true, "ip_address": true, "ip_address_location": true, "last_name": true, "name": true, "owner": true,
	"payer_details": true, "payer_email": true, "payer_name": true,
	"payment_method_data": true, "payment_method_details": true, "phone": true, "receipt_email": true,
	"receipt_url": true, "shipping": true, "shipping_details": true, "tax_ids": true, "verified_address": true,
	"verified_email": true, "verified_name": true, "verified_phone": true,
}

// Redact returns an event's payload without its person: the texts and numbers of fields
// such as customer_details, billing_details, receipt_email, shipping, evidence and
// description become empty or 0, and so does every text elsewhere that contains one of
// texts, or a full name or address of those fields, compared without case. What
// identifies objects and amounts stays, so that handlers can still process the event. A
// field _redacted marks the result, which its signature does not verify any more; of what
// is not a JSON object, only the mark is left.
func Redact(payload []byte, texts ...string) []byte {
	decoder := json.NewDecoder(bytes.NewReader(payload))
	// A number stays as it was written.
	decoder.UseNumber()
	var event map[string]any
	if err := decoder.Decode(&event); err != nil || event == nil {
		event = map[string]any{}
	}
	r := redaction{texts: slices.Clone(texts)}
	r.learn(false, event["data"])
	for name, value := range event {
		event[name] = r.value(name == "data", false, value)
	}
	event["_redacted"] = true
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	// What was decoded can be encoded.
	_ = encoder.Encode(event)
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}

type redaction struct{ texts []string }

// learn adds the names and addresses in personal fields to the texts. A single word is no
// name: it may be Stripe's.
func (r *redaction) learn(personal bool, value any) {
	switch v := value.(type) {
	case map[string]any:
		for name, field := range v {
			text, _ := field.(string)
			named := strings.HasSuffix(name, "name") || strings.HasSuffix(name, "email")
			if named && strings.ContainsAny(text, " @") && (personal || personalFields[name]) {
				r.texts = append(r.texts, text)
			}
			r.learn(personal || personalFields[name], field)
		}
	case []any:
		for _, item := range v {
			r.learn(personal, item)
		}
	}
}

// inData is true below the event's data, whose fields are Stripe's objects; personal
// inside a personal field.
func (r redaction) value(inData, personal bool, value any) any {
	switch v := value.(type) {
	case map[string]any:
		for name, field := range v {
			// What kind of object it is says nothing about the person.
			if !personal || name != "type" && name != "object" {
				v[name] = r.value(inData, personal || inData && personalFields[name], field)
			}
		}
		return v
	case []any:
		for i, item := range v {
			v[i] = r.value(inData, personal, item)
		}
		return v
	case string:
		if personal || slices.ContainsFunc(r.texts, func(text string) bool { return mentions(v, text) }) {
			return ""
		}
	case json.Number:
		if personal {
			return json.Number("0")
		}
	}
	return value
}

// mentions compares without case, and not with a part of a longer word or address:
// "ada@example.com" is not in "nada@example.com".
func mentions(s, text string) bool {
	s, text = strings.ToLower(s), strings.ToLower(strings.TrimSpace(text))
	if text == "" {
		return false
	}
	for from := 0; ; {
		at := strings.Index(s[from:], text)
		if at < 0 {
			return false
		}
		begin, end := from+at, from+at+len(text)
		if !continuesBefore(s[:begin]) && !continuesAfter(s[end:]) {
			return true
		}
		_, size := utf8.DecodeRuneInString(s[begin:])
		from = begin + size
	}
}

func wordRune(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsDigit(r) || r == '_' || r == '+' || r == '-'
}

// continuesBefore: a word goes on from before into what follows.
func continuesBefore(before string) bool {
	r, size := utf8.DecodeLastRuneInString(before)
	if r == '.' {
		r, _ = utf8.DecodeLastRuneInString(before[:len(before)-size])
	}
	return wordRune(r)
}

// continuesAfter: a word goes on into after. A full stop ends a sentence, unless a word
// follows at once.
func continuesAfter(after string) bool {
	r, size := utf8.DecodeRuneInString(after)
	if r == '.' {
		r, _ = utf8.DecodeRuneInString(after[size:])
	}
	return wordRune(r) || r == '@'
}

func mentionsJSON(payload []byte, text string) bool {
	var document any
	if json.Unmarshal(payload, &document) != nil {
		return mentions(string(payload), text)
	}
	return anyText(document, func(s string) bool { return mentions(s, text) })
}

func anyText(value any, test func(string) bool) bool {
	switch v := value.(type) {
	case map[string]any:
		for _, field := range v {
			if anyText(field, test) {
				return true
			}
		}
	case []any:
		for _, item := range v {
			if anyText(item, test) {
				return true
			}
		}
	case string:
		return test(v)
	}
	return false
}

// asciiJSON escapes as encoders do that write ASCII alone.
func asciiJSON(text string) string {
	var b strings.Builder
	for _, unit := range utf16.Encode([]rune(text)) {
		if unit < 0x80 {
			b.WriteByte(byte(unit))
			continue
		}
		fmt.Fprintf(&b, `\u%04x`, unit)
	}
	return b.String()
}
