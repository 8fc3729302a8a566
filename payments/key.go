package payments

import (
	"errors"
	"strings"
)

// checkKey returns a secret key of Stripe's API without the blanks around it, which come
// of files and lists. The error never quotes it.
func checkKey(key string) (string, error) {
	key = strings.TrimSpace(key)
	kind, rest, _ := strings.Cut(key, "_")
	switch {
	case key == "":
		return "", errors.New("payments: a Stripe secret key is required")
	case kind == "pk":
		return "",
			errors.New("payments: the Stripe key is a publishable one (pk_); a secret key begins with sk_ or rk_")
	case kind == "whsec":
		return "", errors.New("payments: the Stripe key is the signing secret of a webhook (whsec_); a secret key begins with sk_ or rk_")
	case kind != "sk" && kind != "rk" || strings.Trim(rest, "_") == "":
		return "", errors.New("payments: the Stripe key is no secret key; one begins with sk_ or rk_")
	}
	for _, r := range rest {
		if r != '_' && r != '-' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') {
			return "",
				errors.New("payments: the Stripe key has a character that no key has; is it a list, or cut in two?")
		}
	}
	return key, nil
}

// accountOf is whose the payments of a key are: the name of the account and the key's
// mode. The key itself changes whenever it is rolled.
func accountOf(name, key string) string {
	_, rest, _ := strings.Cut(key, "_")
	mode, _, _ := strings.Cut(rest, "_")
	if mode != "live" && mode != "test" {
		mode = ""
	}
	return strings.Trim(name+"/"+mode, "/")
}
