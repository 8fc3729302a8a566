package doctor

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// metricsLimit bounds one question to a host that may not be there.
const metricsLimit = 2 * time.Second

// metrics looks at the address of Prometheus's /metrics: whoever reaches it reads how the
// business goes.
func (e *examination) metrics(ctx context.Context) ([]Finding, error) {
	address := e.Config.Metrics.Address
	if e.wrong("METRICS_ADDR") {
		return nil, nil
	}
	if address == "" {
		if e.Config.Production {
			return []Finding{warning(MetricsAddress,
				"METRICS_ADDR is off: nothing measures the host, and no alarm of ops/ can be raised",
				"Set METRICS_ADDR to a private address that Prometheus reaches, such as 127.0.0.1:9464.")}, nil
		}
		return []Finding{ok(MetricsAddress, "off")}, nil
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	var found []Finding
	ip, everywhere := listensAt(host)
	if everywhere {
		open, err := e.publicAddress(ip)
		if err != nil {
			return nil, err
		}
		if open.IsValid() {
			found = append(found, warning(MetricsAddress,
				address+" is every address of this machine, and "+open.String()+" is a public one",
				"Name a private one in METRICS_ADDR, or see that nobody but Prometheus gets there."))
		}
	} else if public(ip) {
		// It is not asked: it may be somebody else's.
		return []Finding{e.inProduction(MetricsAddress,
			address+" is a public address: anybody may read how many bookings and payments there are",
			"Set METRICS_ADDR to a private address that Prometheus reaches, such as 127.0.0.1:9464.")}, nil
	}
	if e.takesThePort(ip, everywhere, port) {
		return append(found, e.portTaken(address)), nil
	}
	if f := e.scrape(ctx, ip, everywhere, port); f.Level != OK || len(found) == 0 {
		found = append(found, f)
	}
	return found, nil
}

// takesThePort tells whether the host's own listener and this one are in each other's
// way.
func (e *examination) takesThePort(ip netip.Addr, everywhere bool, port string) bool {
	own, all := listensAt(e.Config.Host)
	return port == strconv.Itoa(e.Config.Port) && port != "0" && (everywhere || all || own == ip)
}

func (e *examination) portTaken(address string) Finding {
	const remedy = "Choose another port in METRICS_ADDR; 9464 is the usual one."
	if !e.Config.Metrics.Set {
		return warning(MetricsAddress, address+
			", the default, is where the host itself listens: it starts without metrics", remedy)
	}
	return problem(MetricsAddress, address+" is where the host itself listens: it does not start", remedy)
}

// scrape asks as Prometheus does. That nobody answers is amiss only where a host runs;
// the one of a developer, who has asked for no metrics, may be in a container that keeps
// them to itself.
func (e *examination) scrape(ctx context.Context, ip netip.Addr, everywhere bool, port string) Finding {
	at := net.JoinHostPort(askedAt(ip, everywhere), port)
	if port == "0" {
		return ok(MetricsAddress, "the system chooses the port of "+e.Config.Metrics.Address)
	}
	status, body, err := ask(ctx, "http://"+at+"/metrics")
	switch {
	case err == nil && status == http.StatusOK && strings.Contains(body, "\nbooking_"):
		return ok(MetricsAddress, at+" answers with the host's metrics")
	case err == nil:
		return warning(MetricsAddress, "something else answers at "+at+
			": the host is without metrics, or does not start",
			"Choose another address in METRICS_ADDR, or stop what is there.")
	}
	if !e.Config.Metrics.Set && !e.Config.Production {
		return ok(MetricsAddress, at+", the default, is not public; nobody answers there")
	}
	own, all := listensAt(e.Config.Host)
	status, body, err = ask(ctx, "http://"+net.JoinHostPort(askedAt(own, all), strconv.Itoa(e.Config.Port))+"/health")
	if err == nil && status == http.StatusOK && strings.TrimSpace(body) == `{"status":"ok"}` {
		return warning(MetricsAddress, "a host runs here, and nobody answers at "+at+": nothing measures it",
			"Look for METRICS_ADDR in what the host logged at its start, and start it with the environment of this command.")
	}
	return ok(MetricsAddress, at+" is not public; no host runs here to be asked")
}

// ask gets a page, or the beginning of one, from this machine's own network: through no
// proxy.
func ask(ctx context.Context, url string) (status int, body string, err error) {
	ctx, cancel := context.WithTimeout(ctx, metricsLimit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return 0, "", err
	}
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return resp.StatusCode, string(text), err
}
