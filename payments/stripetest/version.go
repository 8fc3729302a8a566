package stripetest

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
)

// APIVersion is the default of Options.APIVersion: that of stripe-go v76.
const APIVersion = "2023-10-16"

var versionPattern = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}(\.[a-z]+)?$`)

func checkVersion(version string) error {
	if !versionPattern.MatchString(version) || !since(version, APIVersion) {
		return errors.New("the API version is not 2023-10-16 or a later one, such as 2026-03-25.dahlia")
	}
	return nil
}

func since(version, day string) bool { return version[:len("2006-01-02")] >= day }

// changes are Stripe's renames and replacements since 2023-10-16 of what objects here
// have. Added fields are not sent in any version.
var changes = []struct {
	day    string
	object string // Stripe's name
	apply  func(map[string]any)
}{
	// https://docs.stripe.com/changelog/dahlia: the values of ui_mode
	{"2026-03-25", "checkout.session", replace("ui_mode", "hosted", "hosted_page")},
}

// captureMethod is the default of a payment, see
// https://docs.stripe.com/changelog/2024-04-10/automatic-sync-default-paymentintents
func captureMethod(version string) string {
	if since(version, "2024-04-10") {
		return "automatic_async"
	}
	return "automatic"
}

// allRefundsFail is since when refund.failed is sent for every refund:
// https://docs.stripe.com/changelog/acacia/2024-10-28/refund-webhook-update
const allRefundsFail = "2024-10-28"

func replace(field, old, value string) func(map[string]any) {
	return func(object map[string]any) {
		if object[field] == old {
			object[field] = value
		}
	}
}

// render encodes an object as of an API version.
func render(object any, version string) []byte {
	body := encode(object)
	if !since(version, changes[0].day) {
		return body
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var tree any
	if err := decoder.Decode(&tree); err != nil {
		panic(err) // just encoded
	}
	upgrade(tree, version)
	return encode(tree)
}

// upgrade applies the changes to an object and those in it, but not within events.
func upgrade(tree any, version string) {
	switch tree := tree.(type) {
	case []any:
		for _, one := range tree {
			upgrade(one, version)
		}
	case map[string]any:
		name, _ := tree["object"].(string)
		if name == "event" {
			return
		}
		for _, c := range changes {
			if c.object == name && since(version, c.day) {
				c.apply(tree)
			}
		}
		for _, one := range tree {
			upgrade(one, version)
		}
	}
}

func (s *Server) versionOf(r *http.Request) string {
	if version := r.Header.Get("Stripe-Version"); versionPattern.MatchString(version) {
		return version
	}
	return s.opts.APIVersion
}
