package policy

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Bounds of a quota: wide enough for any honest one, narrow enough that the
// arithmetic of the store cannot overflow.
const (
	maxQuotaName   = 64
	maxQuotaAmount = 1_000_000_000
	minQuotaWindow = time.Millisecond
	maxQuotaWindow = 31 * 24 * time.Hour
)

func (d *decoder) quotas(v ast.Value) error {
	list, ok := elements(v)
	if !ok {
		return wrongType(v, "a list of objects")
	}
	for i, item := range list {
		q, err := d.quota(item.Value, i)
		if err != nil {
			return fmt.Errorf("[%d]: %w", i, err)
		}
		d.result.Quotas = append(d.result.Quotas, q)
	}
	return nil
}

// quota reads one quota, with the contract's defaults: burst is the limit, cost
// is 1, and each allowed request is charged.
func (d *decoder) quota(v ast.Value, index int) (Quota, error) {
	object, ok := v.(ast.Object)
	if !ok {
		return Quota{}, wrongType(v, "an object")
	}
	for _, name := range []string{"name", "key", "limit", "window"} {
		if object.Get(ast.InternedTerm(name)) == nil {
			return Quota{}, fmt.Errorf("%s: missing", name)
		}
	}
	q := Quota{Cost: 1, Charge: ChargeRequest}
	err := eachField(object, func(name string, value ast.Value) (err error) {
		switch name {
		case "name":
			q.Name, err = quotaName(value)
		case "key":
			q.Key, err = d.quotaKey(value, index)
		case "limit":
			q.Limit, err = integer(value, 1, maxQuotaAmount)
		case "burst":
			q.Burst, err = integer(value, 1, maxQuotaAmount)
		case "cost":
			q.Cost, err = integer(value, 1, maxQuotaAmount)
		case "window":
			q.Window, err = quotaWindow(value)
		case "charge":
			q.Charge, err = quotaCharge(value)
		case "shadow":
			q.Shadow, err = boolean(value)
		default:
			d.unknown(fmt.Sprintf("quotas[%d].%s", index, name))
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	})
	if q.Burst == 0 {
		q.Burst = q.Limit
	}
	return q, err
}

func quotaName(v ast.Value) (string, error) {
	name, err := text(v)
	if err == nil && (name == "" || len(name) > maxQuotaName) {
		err = fmt.Errorf("is %d bytes long, not 1 to %d", len(name), maxQuotaName)
	}
	return name, err
}

func quotaCharge(v ast.Value) (Charge, error) {
	name, err := text(v)
	if err != nil {
		return "", err
	}
	switch charge := Charge(name); charge {
	case ChargeRequest, ChargeDenied, ChargeFailed:
		return charge, nil
	}
	return "", fmt.Errorf("%q is none of request, denied, failed", name)
}

// quotaWindow reads a Go duration ("15m") or a number of seconds.
func quotaWindow(v ast.Value) (time.Duration, error) {
	var window time.Duration
	switch v := v.(type) {
	case ast.String:
		var err error
		if window, err = time.ParseDuration(string(v)); err != nil {
			return 0, fmt.Errorf("%q is not a duration", string(v))
		}
	case ast.Number:
		seconds, err := number(v)
		if err != nil || math.Abs(seconds) > maxQuotaWindow.Seconds() {
			return 0, fmt.Errorf("%v is not from %v to %v", v, minQuotaWindow, maxQuotaWindow)
		}
		window = time.Duration(seconds * float64(time.Second))
	default:
		return 0, wrongType(v, "a duration or a number of seconds")
	}
	if window < minQuotaWindow || window > maxQuotaWindow {
		return 0, fmt.Errorf("%v is not from %v to %v", window, minQuotaWindow, maxQuotaWindow)
	}
	return window, nil
}

func (d *decoder) quotaKey(v ast.Value, quota int) ([]string, error) {
	list, ok := elements(v)
	if _, isSet := v.(ast.Set); isSet || !ok {
		return nil, wrongType(v, "an array") // the order of a set is not the author's
	}
	if len(list) == 0 {
		return nil, errors.New("is empty")
	}
	key := make([]string, len(list))
	for i, item := range list {
		var err error
		var ref string
		if key[i], ref, err = d.quotaKeyElement(item.Value); err != nil {
			return nil, fmt.Errorf("[%d]: %w", i, err)
		}
		if ref != "" {
			d.refs = append(d.refs, quotaRef{quota: quota, element: i, path: ref})
		}
	}
	return key, nil
}

// quotaKeyElement also returns the reference where the element is one.
func (d *decoder) quotaKeyElement(v ast.Value) (element, path string, err error) {
	switch v := v.(type) {
	case ast.String:
		return string(v), "", nil
	case ast.Object:
		ref := v.Get(ast.InternedTerm("ref"))
		if ref == nil || v.Len() != 1 {
			return "", "", errors.New(`is an object, but not {"ref": "…"}`)
		}
		if path, err = text(ref.Value); err != nil {
			return "", "", fmt.Errorf("ref: %w", err)
		}
		element, err = d.resolve(path)
		return element, path, err
	}
	return "", "", wrongType(v, `a string or {"ref": "…"}`)
}

// resolve reads the input at a dotted path such as client.ip_block. Null is
// nothing to count by, and a path that leads nowhere would count everyone
// together: both are refused.
func (d *decoder) resolve(path string) (string, error) {
	at := d.input
	for name := range strings.SplitSeq(path, ".") {
		object, ok := at.(ast.Object)
		if !ok {
			return "", fmt.Errorf("ref %q is not in the input", path)
		}
		next := object.Get(ast.StringTerm(name))
		if next == nil {
			return "", fmt.Errorf("ref %q is not in the input", path)
		}
		at = next.Value
	}
	switch at := at.(type) {
	case ast.String:
		return string(at), nil
	case ast.Number:
		key, err := numberKey(string(at))
		if err != nil {
			return "", fmt.Errorf("ref %q: %w", path, err)
		}
		return key, nil
	case ast.Boolean:
		return at.String(), nil
	}
	return "", fmt.Errorf("ref %q is %s, not a string, number or boolean", path, ast.ValueName(at))
}

// numberKey spells equal numbers alike, as digits and a power of ten: a body may say
// 7, 7.0 or 70e-1, which are one account to the app and must be one key.
func numberKey(number string) (string, error) {
	mantissa, power, scaled := strings.Cut(strings.ToLower(number), "e")
	exponent := int64(0)
	if scaled {
		var err error
		if exponent, err = strconv.ParseInt(power, 10, 32); err != nil {
			return "", errors.New("is out of range")
		}
	}
	magnitude, negative := strings.CutPrefix(mantissa, "-")
	whole, fraction, _ := strings.Cut(magnitude, ".")
	digits := strings.TrimLeft(whole+fraction, "0")
	key := strings.TrimRight(digits, "0")
	if key == "" {
		return "0", nil
	}
	if exponent += int64(len(digits) - len(key) - len(fraction)); exponent != 0 {
		key += "e" + strconv.FormatInt(exponent, 10)
	}
	if negative {
		key = "-" + key
	}
	return key, nil
}
