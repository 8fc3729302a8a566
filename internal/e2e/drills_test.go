package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/payments/stripetest"
)

// drill is an incident of docs/incidents.md.
type drill struct {
	stripe stripetest.Options
	cause  func(*incident)
	// look is what the operator sees before doctor: the end of a host that does not start,
	// or lines of the log. nil is nothing.
	look func(*incident) string
	// findings are the problems and warnings that doctor must have, and no others.
	findings []string
	// says is in the output of look or doctor: the command, or the section with it.
	says []string
	// mend ends the incident; doctor must then find nothing.
	mend func(*incident)
}

// Each incident is caused at a running host. What an operator sees names the command or
// the section of RUNBOOK.md, and doctor does not report anything else.
func TestDrills_LeadToCommand(t *testing.T) {
	t.Parallel()
	for name, d := range drills {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newDrill(t, situation{stripe: d.stripe})
			d.cause(n)
			if d.look != nil {
				looked := d.look(n)
				t.Logf("seen:\n%s", looked)
				seen := func(s string) bool { return strings.Contains(looked, s) }
				d.says = slices.DeleteFunc(slices.Clone(d.says), seen)
			}
			n.examine(d.findings, d.says)
			if d.mend != nil {
				d.mend(n)
				n.eventually("over", func() bool { return len(amiss(n.doctor())) == 0 })
			}
		})
	}
}

// newDrill is an incident with secrets of which doctor has nothing to say, and metrics.
func newDrill(t *testing.T, s situation) *incident {
	t.Helper()
	s.stripe.SecretKey, s.stripe.WebhookSecret = "sk_test_"+rand.Text(), "whsec_"+rand.Text()+rand.Text()
	s.env = map[string]string{"METRICS_ADDR": "127.0.0.1:" + aPort(t), "SESSION_SECRET": rand.Text() + rand.Text()}
	return newIncident(t, s)
}

// examine runs doctor and compares its problems and warnings.
func (n *incident) examine(findings, says []string) {
	n.t.Helper()
	began := time.Now()
	said := n.doctor()
	took := time.Since(began)
	shown := notOK.FindAllString(said, -1)
	n.t.Logf("doctor: %s, %d words:\n%s", took.Round(time.Millisecond), len(strings.Fields(strings.Join(shown, " "))),
		strings.Join(shown, "\n"))
	require.ElementsMatch(n.t, findings, amiss(said), said)
	for _, s := range says {
		require.Contains(n.t, said, s)
	}
}

var (
	finding = regexp.MustCompile(`(?m)^(problem|warning) +([a-z-]+):`)
	notOK   = regexp.MustCompile(`(?m)^(?:problem|warning| +->) .*$`)
)

// amiss returns the problems and warnings of doctor, such as "problem database".
func amiss(said string) (all []string) {
	for _, m := range finding.FindAllStringSubmatch(said, -1) {
		all = append(all, m[1]+" "+m[2])
	}
	return all
}

func (n *incident) doctor(args ...string) string {
	out, _ := n.try(append([]string{"doctor"}, args...)...)
	return out
}

// try runs a command that may fail.
func (n *incident) try(args ...string) (output string, failed error) {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary.path, args...)
	cmd.Dir = n.t.TempDir()
	for name, value := range n.env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// start runs another host with this environment, which must end by itself.
func (n *incident) start() string {
	n.t.Helper()
	out, err := n.try("serve")
	require.Error(n.t, err, out)
	return out
}

// restart restarts the host with the environment as it is now.
func (n *incident) restart() {
	n.t.Helper()
	n.host.stop()
	n.host = startHost(n.t, n.env)
	n.stripe.pointAt(n.host)
}

// apart gives the next host ports of its own.
func (n *incident) apart() { n.env["PORT"], n.env["METRICS_ADDR"] = "0", "off" }

// lines returns a function that waits for a line of the log.
func lines(part string) func(*incident) string {
	return func(n *incident) (line string) {
		n.t.Helper()
		n.eventually(part, func() bool {
			for l := range strings.Lines(n.host.logs()) {
				if strings.Contains(l, part) {
					line = l
				}
			}
			return line != ""
		})
		return line
	}
}

// refused asks for a booking, which must be refused with this code.
func (n *incident) refused(code string) {
	n.t.Helper()
	c := newCustomer(n.t, n.host.base)
	body, err := json.Marshal(map[string]string{"start": c.firstSlot(), "firstName": "Ada", "lastName": "Lovelace",
		"email": "ada@example.com"})
	require.NoError(n.t, err)
	status, answer := c.do(http.MethodPost, n.host.base+"/api/bookings", "application/json", body)
	require.Equal(n.t, http.StatusServiceUnavailable, status, answer)
	require.Contains(n.t, answer, code)
}

// unpaid pays for a booking whose event the host does not accept.
func (n *incident) unpaid() {
	n.t.Helper()
	b := n.book()
	go func() { _, _ = n.stripe.Pay(n.t.Context(), b.StripeSessionID) }()
}

// expired makes a certificate of 127.0.0.1 that has expired, and its key, as PEM.
func expired(t *testing.T) (certificate, key []byte) {
	t.Helper()
	pair, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(pair)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(-24 * time.Hour)}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, pair.Public(), pair)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// expiredTLS serves https with a certificate that has expired.
func expiredTLS(t *testing.T) string {
	t.Helper()
	pair, err := tls.X509KeyPair(expired(t))
	require.NoError(t, err)
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.URL
}
