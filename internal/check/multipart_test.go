package check

import (
	"bytes"
	"mime/multipart"
	"net/textproto"
	"strings"
	"testing"
)

const multipartType = "multipart/form-data; boundary=B"

// crlf joins the lines of a multipart body.
func crlf(lines ...string) string { return strings.Join(lines, "\r\n") }

func partOf(header string, content string) string {
	return crlf("--B", header, "", content, "")
}

func named(name string) string { return `Content-Disposition: form-data; name="` + name + `"` }

func TestParseBodyMultipart(t *testing.T) {
	value := func(v object) Body { return Body{Value: v, Parsed: true} }
	many := func(n int) string { return strings.Repeat(partOf(named("a"), "x"), n) + "--B--" }
	const plain = `Content-Disposition: form-data; name="a"`
	for _, row := range []struct {
		about, contentType, body string
		want                     Body
		fault                    string // in both modes
	}{
		{"fields in order", multipartType, partOf(named("a"), "1") + partOf(named("b"), "2\r\n3") + partOf(named("a"), "") + "--B--\r\n",
			value(object{"a": list{"1", ""}, "b": list{"2\r\n3"}}), ""},
		{"no field", multipartType, "--B--", value(object{}), ""},
		{"quoted boundary", `Multipart/Form-Data; Boundary="B, x"`, "--B, x\r\n" + plain + "\r\n\r\n1\r\n--B, x--", value(object{"a": list{"1"}}), ""},
		{"case and tokens", multipartType, partOf("content-DISPOSITION:form-data ;NAME=a", "1") + "--B--", value(object{"a": list{"1"}}), ""},
		{"JSON part", multipartType, partOf(named("a")+"\r\nContent-Type: application/json; charset=utf-8", `{"x":[1]}`) + "--B--",
			value(object{"a": list{object{"x": list{number("1")}}}}), ""},
		{"a JSON dialect is text", multipartType, partOf(named("a")+"\r\nContent-Type: application/ld+json", `{"x":1}`) + "--B--",
			value(object{"a": list{`{"x":1}`}}), ""},
		{"text file", multipartType, partOf(plain+`; filename="C:\x.txt"`, "héllo") + "--B--", value(object{"a": list{"héllo"}}), ""},
		{"an encoding that changes nothing", multipartType, partOf(plain+"\r\nContent-Transfer-Encoding: Binary", "1") + "--B--", value(object{"a": list{"1"}}), ""},
		{"binary file", multipartType, partOf(plain+`; filename="é.png"; filename*=UTF-8''%C3%A9.png`+"\r\nContent-Type: image/png", "\x89PNG\x00") + "--B--",
			value(object{"a": list{nil}}), ""},
		{"1,000 parts", multipartType, many(MaxParameters), value(object{"a": strings1000()}), ""},
		{"more parts", multipartType, many(MaxParameters + 1), Body{}, "multipart_parts"},
		{"100,000 parts", multipartType, many(100_000), Body{}, "multipart_parts"},

		{"no boundary", "multipart/form-data", "--B--", Body{}, "multipart_boundary"},
		{"empty boundary", `multipart/form-data; boundary=""`, "--B--", Body{}, "multipart_boundary"},
		{"boundary in pieces", `multipart/form-data; boundary=B; boundary*=utf-8''C`, "--B--", Body{}, "multipart_boundary"},
		{"boundary of other characters", `multipart/form-data; boundary="B*"`, "--B*--", Body{}, "multipart_boundary"},
		{"long boundary", "multipart/form-data; boundary=" + strings.Repeat("B", 71), "--B--", Body{}, "multipart_boundary"},
		{"boundary ends in a space", `multipart/form-data; boundary="B "`, "--B --", Body{}, "multipart_boundary"},
		{"another boundary", multipartType, "--C--", Body{}, "multipart_delimiter"},
		{"no closing boundary", multipartType, partOf(plain, "1"), Body{}, "multipart_delimiter"},
		{"bare LF", multipartType, strings.ReplaceAll(partOf(plain, "1")+"--B--", "\r\n", "\n"), Body{}, "multipart_delimiter"},
		{"LF before a boundary", multipartType, "--B\r\n" + plain + "\r\n\r\n1\n--B\r\n" + named("role") + "\r\n\r\nadmin\r\n--B--", Body{}, "multipart_delimiter"},
		{"space after a boundary", multipartType, "--B \r\n" + plain + "\r\n\r\n1\r\n--B--", Body{}, "multipart_delimiter"},
		{"a boundary that goes on", multipartType, partOf(plain, "1\r\n--BB\r\n") + "--B--", Body{}, "multipart_delimiter"},
		{"a boundary within a line", multipartType, partOf(plain, "x--B\r\n") + "--B--", Body{}, "multipart_delimiter"},
		{"parts after the end", multipartType, partOf(plain, "1") + "--B--\r\n" + partOf(named("role"), "admin") + "--B--", Body{}, "multipart_delimiter"},
		{"no blank line", multipartType, crlf("--B", plain, "--B--"), Body{}, "multipart_header"},
		{"no header", multipartType, crlf("--B", "", "x", "--B--"), Body{}, "multipart_header"},
		{"blank header", multipartType, crlf("--B", "", "", "x", "--B--"), Body{}, "multipart_header"},
		{"no colon", multipartType, partOf(plain+"\r\nX", "1") + "--B--", Body{}, "multipart_header"},
		{"disposition malformed", multipartType, partOf(plain+"; x", "1") + "--B--", Body{}, "multipart_name"},
		{"folded header", multipartType, partOf(plain+"\r\n ;x=y", "1") + "--B--", Body{}, "multipart_header"},
		{"space before the colon", multipartType, partOf(`Content-Disposition : form-data; name="a"`, "1") + "--B--", Body{}, "multipart_header"},
		{"two dispositions", multipartType, partOf(named("a")+"\r\n"+named("role"), "1") + "--B--", Body{}, "multipart_header"},
		{"huge header", multipartType, partOf(plain+"\r\nX: "+strings.Repeat("x", maxPartHeader), "1") + "--B--", Body{}, "multipart_header"},
		{"many headers", multipartType, partOf(plain+strings.Repeat("\r\nX: y", maxPartHeaders), "1") + "--B--", Body{}, "multipart_header"},
		{"NUL in a name", multipartType, partOf(named("a\x00"), "1") + "--B--", Body{}, "multipart_header"},
		{"name not UTF-8", multipartType, partOf(named("\xff"), "1") + "--B--", Body{}, "multipart_header"},
		{"LF in a header", multipartType, partOf("X: y\n"+plain, "1") + "--B--", Body{}, "multipart_header"},
		{"part type malformed", multipartType, partOf(plain+"\r\nContent-Type: json,text/plain", "1") + "--B--", Body{}, "multipart_header"},
		{"no name", multipartType, partOf("Content-Disposition: form-data", "1") + "--B--", Body{}, "multipart_name"},
		{"no disposition", multipartType, partOf("X: y", "1") + "--B--", Body{}, "multipart_name"},
		{"another disposition", multipartType, partOf(`Content-Disposition: attachment; name="a"`, "1") + "--B--", Body{}, "multipart_name"},
		{"two names", multipartType, partOf(plain+`; name="role"`, "1") + "--B--", Body{}, "multipart_name"},
		{"encoded name", multipartType, partOf(plain+`; name*=utf-8''role`, "1") + "--B--", Body{}, "multipart_name"},
		{"name in pieces", multipartType, partOf(plain+`; name*0=ro; name*1=le`, "1") + "--B--", Body{}, "multipart_name"},
		{"escaped quote in a name", multipartType, partOf(`Content-Disposition: form-data; name="a\"; x="`, "1") + "--B--", Body{}, "multipart_name"},
		{"escaped quote in a file name", multipartType, partOf(plain+`; filename="\"; name="`, "1") + "--B--", Body{}, "multipart_name"},
		{"backslash in a name", multipartType, partOf(named(`r\ole`), "1") + "--B--", Body{}, "multipart_name"},
		{"quoted-printable", multipartType, partOf(plain+"\r\nContent-Transfer-Encoding: quoted-printable", "=61") + "--B--", Body{}, "multipart_encoding"},
		{"base64", multipartType, partOf(plain+"\r\nContent-Transfer-Encoding: Base64", "YQ==") + "--B--", Body{}, "multipart_encoding"},
		{"JSON part malformed", multipartType, partOf(plain+"\r\nContent-Type: application/json", "{") + "--B--", Body{}, "json_syntax"},
		{"field not UTF-8", multipartType, partOf(plain, "admin\xff") + "--B--", Body{}, "multipart_text"},
	} {
		in := BodyInput{Headers: ofType(row.contentType), RawBody: []byte(row.body)}
		both(t, row.about, in, row.want, row.want, row.fault, row.fault)
	}

	for _, row := range []struct {
		about, strict, body string
		lax                 object
	}{
		{"text before the first boundary", "multipart_delimiter", "hello\r\n" + partOf(plain, "1") + "--B--", object{"a": list{"1"}}},
		{"text after the last", "multipart_delimiter", partOf(plain, "1") + "--B--\r\nbye", object{"a": list{"1"}}},
		{"charset of a part", "multipart_type", partOf(plain+"\r\nContent-Type: text/plain; charset=utf-7", "+AGE-") + "--B--", object{"a": list{"+AGE-"}}},
		{"parts in a part", "multipart_type", partOf(plain+"\r\nContent-Type: multipart/mixed; boundary=C", "--C--") + "--B--", object{"a": list{"--C--"}}},
		{"NUL in a field", "multipart_text", partOf(plain, "a\x00") + "--B--", object{"a": list{"a\x00"}}},
		{"duplicate keys in a JSON part", "json_duplicate", partOf(plain+"\r\nContent-Type: application/json", `{"x":0,"x":1}`) + "--B--", object{"a": list{object{"x": number("1")}}}},
	} {
		both(t, row.about, BodyInput{Headers: ofType(multipartType), Body: row.body}, Body{}, value(row.lax), row.strict, "")
	}
}

func strings1000() list {
	out := make(list, MaxParameters)
	for i := range out {
		out[i] = "x"
	}
	return out
}

// What Go's own writer writes is read.
func TestParseBodyMultipartFromGo(t *testing.T) {
	var buffer bytes.Buffer
	w := multipart.NewWriter(&buffer)
	if err := w.WriteField("title", "a \"quoted\" word"); err != nil {
		t.Fatal(err)
	}
	file, err := w.CreateFormFile("file", "x.bin")
	if err != nil {
		t.Fatal(err)
	}
	file.Write([]byte{0, 0xff})
	meta, err := w.CreatePart(textproto.MIMEHeader{"Content-Disposition": {`form-data; name="meta"`}, "Content-Type": {"application/json"}})
	if err != nil {
		t.Fatal(err)
	}
	meta.Write([]byte(`{"n":1}`))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	want := Body{Parsed: true, Value: object{"title": list{"a \"quoted\" word"}, "file": list{nil}, "meta": list{object{"n": number("1")}}}}
	both(t, "Go", BodyInput{Headers: ofType(w.FormDataContentType()), RawBody: buffer.Bytes()}, want, want, "", "")
}
