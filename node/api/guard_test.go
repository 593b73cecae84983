package api

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"entente/node"
)

// header is a request's header by name and value; Host is the request's host.
type header map[string]string

const secret = "3f9a0c51d2b4e8f7"

func overLoopback(t *testing.T) *running {
	t.Helper()
	return start(t, &fake{}, func(c *Config) { c.Listen, c.Token = "127.0.0.1:0", secret })
}

// status asks for something over TCP and returns status, header and error.
func (r *running) overTCP(method, path string, h header) (*http.Response, Failure) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, "http://"+r.server.Address()+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	for name, value := range h {
		if name == "Host" {
			req.Host = value
		} else {
			req.Header.Set(name, value)
		}
	}
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	res, err := transport.RoundTrip(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	var raw strings.Builder
	if _, err := io.Copy(&raw, res.Body); err != nil {
		r.t.Fatal(err)
	}
	if res.StatusCode == http.StatusOK {
		return res, Failure{}
	}
	return res, failureOf(r.t, raw.String())
}

// TestToken lists what is no token.
func TestToken(t *testing.T) {
	r := overLoopback(t)
	for _, given := range []string{
		"", "Bearer", "Bearer ", "Bearer  " + secret, secret, "Basic " + secret, "Bearer " + secret[:15], "Bearer " + secret + "0", "Bearer " + secret + " ",
		"Bearer " + strings.ToUpper(secret), "Bearer x", "Bearer " + strings.Repeat("x", 4000), "Bearer\t" + secret,
	} {
		// Spaces at the end of a header are not part of it, by HTTP.
		want := http.StatusUnauthorized
		if strings.TrimRight(given, " ") == "Bearer "+secret {
			want = http.StatusOK
		}
		for _, path := range []string{"/v1/status", "/v1/healthz", "/v1/openapi.yaml", "/v1/metrics", "/v1/nothing", "/"} {
			h := header{}
			if given != "" {
				h["Authorization"] = given
			}
			res, f := r.overTCP(http.MethodGet, path, h)
			if want == http.StatusOK {
				continue // only the refusals are of interest here
			}
			if res.StatusCode != want || res.Header.Get("WWW-Authenticate") != "Bearer" || f.Kind != "refused" || f.Hint == "" {
				t.Errorf("%s with %.40q: %d, %+v", path, given, res.StatusCode, f)
			}
			if strings.Contains(f.Error+f.Hint, secret) {
				t.Errorf("the answer to %.40q tells the token", given)
			}
		}
	}
	for _, scheme := range []string{"Bearer ", "bearer ", "BEARER "} {
		if res, f := r.overTCP(http.MethodGet, "/v1/status", header{"Authorization": scheme + secret}); res.StatusCode != http.StatusOK {
			t.Errorf("%s: %d, %+v", scheme, res.StatusCode, f)
		}
	}
}

// TestHost lists names under which a page of somebody else's may have come to
// us, by making its own name mean our address.
func TestHost(t *testing.T) {
	r := overLoopback(t)
	for host, want := range map[string]int{
		"localhost": 200, "localhost:7480": 200, "LocalHost:1": 200, "127.0.0.1": 200, "127.0.0.1:80": 200, "127.9.9.9": 200, "[::1]": 200, "[::1]:7480": 200,
		"evil.example": 403, "evil.example:7480": 403, "localhost.evil.example": 403, "127.0.0.1.evil.example": 403, "192.0.2.1": 403, "0.0.0.0": 403,
		"[::]": 403, "localhost@evil.example": 403, "2130706433": 403, "0x7f000001": 403, "127.1": 403,
	} {
		res, f := r.overTCP(http.MethodGet, "/v1/status", header{"Host": host, "Authorization": "Bearer " + secret})
		if res.StatusCode != want {
			t.Errorf("the host %q: %d, %+v", host, res.StatusCode, f)
		}
		if want == 403 && (f.Kind != "refused" || f.Hint == "") {
			t.Errorf("the host %q: %+v", host, f)
		}
	}
}

// TestOtherSites lists what browsers say when a page of another site asks, by
// any method: reading is what the API is there for.
func TestOtherSites(t *testing.T) {
	r := overLoopback(t)
	at := r.server.Address()
	for _, c := range []struct {
		header header
		want   int
	}{
		{header{}, 200},
		{header{"Sec-Fetch-Site": "same-origin", "Origin": "http://" + at}, 200},
		{header{"Sec-Fetch-Site": "none"}, 200},
		{header{"Origin": "http://" + at}, 200},
		{header{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, 403},
		{header{"Sec-Fetch-Site": "cross-site"}, 403},
		{header{"Sec-Fetch-Site": "same-site"}, 403}, // another port of this machine is another program
		{header{"Sec-Fetch-Site": "cross-site", "Origin": "http://" + at}, 403},
		{header{"Origin": "https://evil.example"}, 403},
		{header{"Origin": "null"}, 403},
		{header{"Origin": "http://127.0.0.1:1"}, 403},
	} {
		for _, q := range [][2]string{{http.MethodGet, "/v1/status"}, {http.MethodPost, "/v1/members/bank/ping"}} {
			h := header{"Authorization": "Bearer " + secret}
			for name, value := range c.header {
				h[name] = value
			}
			res, f := r.overTCP(q[0], q[1], h)
			if res.StatusCode != c.want || (c.want == 403 && (f.Kind != "refused" || f.Hint == "")) {
				t.Errorf("%v with %v: %d, %+v", q, c.header, res.StatusCode, f)
			}
			if res.Header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%v: an answer lets another site read it", q)
			}
		}
	}
	// What a browser asks first, before a request that others' pages may not make.
	res, _ := r.overTCP(http.MethodOptions, "/v1/status", header{"Origin": "https://evil.example", "Access-Control-Request-Headers": "authorization"})
	if res.StatusCode != 401 || res.Header.Get("Access-Control-Allow-Headers") != "" {
		t.Errorf("a question of a browser: %d, %v", res.StatusCode, res.Header)
	}
}

// TestSocketRefusesOtherSites makes sure that a proxy in front of the socket
// opens no hole.
func TestSocketRefusesOtherSites(t *testing.T) {
	r := start(t, &fake{})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost/v1/status", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	if status, body := r.do(r.raw, req); status != http.StatusForbidden {
		t.Errorf("%d %s", status, body)
	}
}

// TestHeadersOfEveryAnswer looks at what keeps an answer from being kept,
// guessed at or shown as a page.
func TestHeadersOfEveryAnswer(t *testing.T) {
	r := overLoopback(t)
	for _, path := range []string{"/v1/status", "/v1/tail", "/v1/nothing", "/v1/metrics", "/v1/openapi.yaml"} {
		for _, auth := range []string{"Bearer " + secret, "Bearer wrong"} {
			res, _ := r.overTCP(http.MethodGet, path, header{"Authorization": auth})
			for name, want := range map[string]string{
				"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
			} {
				if got := res.Header.Get(name); got != want {
					t.Errorf("%s: %s is %q", path, name, got)
				}
			}
		}
	}
}

// TestOtherMethods makes sure that what changes something is not reached by a
// method that pages may use freely, and that the answer says what would do.
func TestOtherMethods(t *testing.T) {
	r := start(t, &fake{agreements: func(string) ([]node.AgreementInfo, error) { return nil, nil }})
	for _, c := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"GET", "/v1/publish?topic=a/b", 405, "POST"}, {"GET", "/v1/reindex", 405, "POST"}, {"DELETE", "/v1/status", 405, "GET"},
		{"PUT", "/v1/agreements/harbour", 405, "GET"}, {"PATCH", "/v1/agreements/harbour/invite", 405, "POST"},
		{"GET", "/", 404, ""}, {"GET", "/v1", 404, ""}, {"POST", "/v2/status", 404, ""}, {"GET", "/v1/status/", 404, ""},
		{"GET", "/v1/agreements/", 404, ""}, {"GET", "/v1/agreements/none", 404, ""}, {"GET", "/v1/agreements/..%2Fstatus", 404, ""},
	} {
		req, err := http.NewRequestWithContext(t.Context(), c.method, "http://localhost"+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := r.raw.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var raw strings.Builder
		_, err = io.Copy(&raw, res.Body)
		res.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if f := failureOf(t, raw.String()); res.StatusCode != c.status || res.Header.Get("Allow") != c.allow || f.Hint == "" {
			t.Errorf("%s %s: %d, Allow %q, %+v", c.method, c.path, res.StatusCode, res.Header.Get("Allow"), f)
		}
	}
}
