package proxy

import (
	"bufio"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// dial opens a TLS connection for what an HTTP client would not send.
func (r *running) dial(t testing.TB) net.Conn {
	t.Helper()
	conn, err := tls.Dial("tcp", strings.TrimPrefix(r.url, "https://"), &tls.Config{RootCAs: r.roots})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// received is the head of a request as PowerDNS gets it.
type received struct {
	line    string
	headers map[string][]string
}

// rawBackend answers one request a connection with a fixed answer and tells
// what it got, octet for octet.
func rawBackend(t *testing.T, reply string) (url string, got <-chan received) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	heads := make(chan received, 10)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			r := received{headers: map[string][]string{}}
			lines := bufio.NewReader(conn)
			for n := 0; ; n++ {
				line, err := lines.ReadString('\n')
				line = strings.TrimRight(line, "\r\n")
				if err != nil || line == "" {
					break
				}
				if name, value, ok := strings.Cut(line, ": "); n > 0 && ok {
					r.headers[name] = append(r.headers[name], value)
				} else {
					r.line = line
				}
			}
			heads <- r
			_, _ = io.WriteString(conn, reply)
			conn.Close()
		}
	}()
	return "http://" + listener.Addr().String(), heads
}

// TestRequestLineUnchanged sends targets that a URL library likes to mend.
func TestRequestLineUnchanged(t *testing.T) {
	url, got := rawBackend(t, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	p := start(t, testConfig(t, url, &fakeNATS{}))
	for _, line := range []string{
		"GET /api HTTP/1.1",
		"GET /api? HTTP/1.1",
		"GET //api//v1/ HTTP/1.1",
		"GET /api/a/../b/./c HTTP/1.1",
		"GET /api/zones/0=2F26.2.0.192.in-addr.arpa. HTTP/1.1",
		"GET /api/zones/0%2F26.2.0.192.in-addr.arpa./metadata HTTP/1.1",
		"GET /api/zones/%65%78ample%2eorg HTTP/1.1",
		"GET /api/zones/a%20b%3F%23%25 HTTP/1.1",
		`GET /api/zones/a|b"c<d>[e]{f}^` + "`" + ` HTTP/1.1`,
		"GET /api/search-data?q=*a%2Ab&max=1;x=2&&q=+%zz HTTP/1.1",
		"GET /api/zones?api-key=a+b%2B HTTP/1.1",
		"OPTIONS /api HTTP/1.1",
		"brew /api/pot HTTP/1.1",
	} {
		conn := p.dial(t)
		fmt.Fprintf(conn, "%s\r\nHost: x\r\n\r\n", line)
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || res.StatusCode != http.StatusOK {
			t.Errorf("%s: %v, %v", line, res, err)
			continue
		}
		if r := <-got; r.line != line {
			t.Errorf("%s: PowerDNS got %s", line, r.line)
		}
	}
	// A whole URL as target is what clients of forward proxies send.
	conn := p.dial(t)
	fmt.Fprintf(conn, "GET https://elsewhere.example/api/a%%2Fb?c HTTP/1.1\r\nHost: elsewhere.example\r\n\r\n")
	if r := <-got; r.line != "GET /api/a%2Fb?c HTTP/1.1" {
		t.Errorf("PowerDNS got %s", r.line)
	}
	// PowerDNS would end the path at a blank, and take another zone for what is changed.
	req, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, p.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.URL.Opaque = zonePath + "%2Fcryptokeys HTTP/1.1"
	if res, err := p.client.Do(req); err != nil || res.ProtoMajor != 2 {
		t.Errorf("%v, %v", res, err)
	}
	if r := <-got; r.line != "DELETE "+zonePath+"%2Fcryptokeys%20HTTP/1.1 HTTP/1.1" {
		t.Errorf("PowerDNS got %s", r.line)
	}
}

func TestHeadersUnchanged(t *testing.T) {
	url, got := rawBackend(t, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Twice: 1\r\nX-Twice: 2\r\nKeep-Alive: timeout=5\r\nConnection: close\r\n\r\nok")
	p := start(t, testConfig(t, url, &fakeNATS{}))
	conn := p.dial(t)
	io.WriteString(conn, "GET /api HTTP/1.1\r\nHost: api.example:1234\r\nX-API-Key: "+apiKey+"\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: gopher\r\n"+
		"X-Forwarded-Host: h\r\nForwarded: for=192.0.2.9\r\nVia: 1.1 a\r\nX-Many: a\r\nX-Many: b\r\nAccept: text/html\r\n"+
		"Connection: X-Mine, keep-alive\r\nX-Mine: 1\r\nTE: trailers\r\nProxy-Connection: keep-alive\r\n\r\n")
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{
		"Host": {"api.example:1234"}, "X-Api-Key": {apiKey}, "X-Forwarded-For": {"192.0.2.1"}, "X-Forwarded-Proto": {"gopher"},
		"X-Forwarded-Host": {"h"}, "Forwarded": {"for=192.0.2.9"}, "Via": {"1.1 a"}, "X-Many": {"a", "b"}, "Accept": {"text/html"},
		// These are between us and PowerDNS.
		"Connection": {"close"}, "Te": {"trailers"},
	}
	if r := <-got; fmt.Sprint(r.headers) != fmt.Sprint(want) {
		t.Errorf("PowerDNS got\n%v\nnot\n%v", r.headers, want)
	}
	res.Header.Del("Date")
	if want := (http.Header{"X-Twice": {"1", "2"}, "Content-Length": {"2"}}); fmt.Sprint(res.Header) != fmt.Sprint(want) || res.Close {
		t.Errorf("the client got %v, close: %t", res.Header, res.Close)
	}
}

// TestBigBodiesStream sends 20 MB each way and has the first octets of each
// pass before the last are there.
func TestBigBodiesStream(t *testing.T) {
	const size = 20 << 20
	for _, c := range [][2]string{{"PUT", zonePath}, {"POST", zonesPath}} {
		for _, length := range []int64{size, -1} {
			t.Run(fmt.Sprint(c, length), func(t *testing.T) {
				first, firstBack := make(chan struct{}), make(chan struct{})
				js := &fakeNATS{}
				p := start(t, testConfig(t, backend(t, func(w http.ResponseWriter, r *http.Request) {
					if r.ContentLength != length {
						t.Errorf("content length %d", r.ContentLength)
					}
					if _, err := io.ReadFull(r.Body, make([]byte, 10)); err != nil {
						t.Error(err)
					}
					close(first)
					hash := sha256.New()
					if n, err := io.Copy(hash, r.Body); n != size-10 || err != nil {
						t.Errorf("PowerDNS got %d octets, %v", n+10, err)
					}
					_, _ = fmt.Fprintf(w, "%x", hash.Sum(nil))
					w.(http.Flusher).Flush()
					<-firstBack
					_, _ = io.CopyN(w, endless{'z'}, size)
				}), js))
				const head = `{"name":"example.org.","zone":"`
				pr, pw := io.Pipe()
				go func() {
					_, _ = io.WriteString(pw, head)
					<-first // PowerDNS reads while we still have most of it
					_, _ = io.CopyN(pw, endless{'x'}, size-int64(len(head))-2)
					_, _ = io.WriteString(pw, `"}`)
					pw.Close()
				}()
				req, _ := http.NewRequestWithContext(t.Context(), c[0], p.url+c[1], pr)
				req.ContentLength = length
				res, err := p.client.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				defer res.Body.Close()
				got := make([]byte, 2*sha256.Size)
				if _, err := io.ReadFull(res.Body, got); err != nil {
					t.Fatal(err)
				}
				close(firstBack)
				hash := sha256.New()
				_, _ = io.WriteString(hash, head[10:])
				_, _ = io.CopyN(hash, endless{'x'}, size-int64(len(head))-2)
				_, _ = io.WriteString(hash, `"}`)
				if want := fmt.Sprintf("%x", hash.Sum(nil)); string(got) != want {
					t.Errorf("PowerDNS got other octets")
				}
				if n, err := io.Copy(io.Discard, res.Body); n != size || err != nil {
					t.Errorf("the client got %d octets, %v", n, err)
				}
				p.idle()
			})
		}
	}
}

// TestExpectContinue: the client sends its body after we tell it to, and
// PowerDNS, which knows no 100, is not kept waiting.
func TestExpectContinue(t *testing.T) {
	url, got := rawBackend(t, "HTTP/1.1 204 No Content\r\n\r\n")
	p := start(t, testConfig(t, url, &fakeNATS{}))
	conn := p.dial(t)
	io.WriteString(conn, "PATCH "+zonePath+" HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
	reader := bufio.NewReader(conn)
	if line, err := reader.ReadString('\n'); line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("%q, %v", line, err)
	}
	_, _ = reader.ReadString('\n')
	io.WriteString(conn, "{}")
	if res, err := http.ReadResponse(reader, nil); err != nil || res.StatusCode != http.StatusNoContent {
		t.Fatalf("%v, %v", res, err)
	}
	if r := <-got; r.headers["Expect"] != nil || r.headers["Content-Length"][0] != "2" {
		t.Errorf("PowerDNS got %v", r.headers)
	}
}

// TestUntypedAnswer gets no type from us.
func TestUntypedAnswer(t *testing.T) {
	url, _ := rawBackend(t, "HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n<html></html>")
	p := start(t, testConfig(t, url, &fakeNATS{}))
	if res, _ := p.call("GET", "/api", ""); res.Header["Content-Type"] != nil {
		t.Errorf("%v", res.Header)
	}
}

// TestMalformedRequests get an answer and leave the proxy whole.
func TestMalformedRequests(t *testing.T) {
	js := &fakeNATS{}
	p := start(t, testConfig(t, backend(t, answer(http.StatusOK)), js))
	for _, request := range []string{
		"\x00\x01\x02\r\n\r\n",
		"PATCH\r\n\r\n",
		"PATCH /%zz HTTP/1.1\r\nHost: x\r\n\r\n",
		"PATCH " + zonePath + " HTTP/9.9\r\nHost: x\r\n\r\n",
		"PATCH " + zonePath + " HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
		"PATCH " + zonePath + " HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
		"PATCH " + zonePath + " HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
		"PATCH " + zonePath + " HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
		"POST " + zonesPath + " HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n17\r\n{\"name\":\"example.org.\"}\r\nzz\r\n",
		"PATCH " + zonePath + " HTTP/1.1\r\nHost: x\r\nX-Big: " + strings.Repeat("x", 2*maxHeaderBytes) + "\r\n\r\n",
		"CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: 127.0.0.1:22\r\n\r\n",
		"GET /api HTTP/1.1\r\nHost: x\r\nExpect: wonders\r\n\r\n",
		"GET /api HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: a\x01b\r\n\r\n",
	} {
		conn := p.dial(t)
		_, _ = io.WriteString(conn, request)
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || res.StatusCode < 400 {
			t.Errorf("%.80q: %v, %v", request, res, err)
		}
		conn.Close()
	}
	p.idle()
	if len(js.list()) > 0 {
		t.Errorf("events: %+v", js.list())
	}
	if res, _ := p.call("GET", "/api", ""); res.StatusCode != http.StatusOK {
		t.Error(res.Status)
	}
}
