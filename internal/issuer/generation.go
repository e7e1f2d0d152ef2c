package issuer

import (
	"crypto/tls"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"go.uber.org/zap"
	"golang.org/x/sync/singleflight"
)

// maxLeaves bounds the leaves kept in memory, some 4 KB each: whoever reaches
// the listener can ask for any number of names below a routed domain.
const maxLeaves = 1000

// A generation is one CA and the leaves it signed since Use or Forget. Its
// methods may be called concurrently.
type generation struct {
	ca      *CA
	log     *zap.Logger
	leaves  *lru.Cache[host, leaf]
	minting singleflight.Group // by host: one mint at a time, others wait
}

// A leaf is a certificate and the time in which it is served.
type leaf struct {
	cert        *tls.Certificate
	from, until time.Time
}

func newGeneration(ca *CA, log *zap.Logger) *generation {
	leaves, _ := lru.New[host, leaf](maxLeaves) // fails only for sizes below one
	return &generation{ca: ca, log: log, leaves: leaves}
}

// leaf returns a leaf for h that may be served at now.
func (g *generation) leaf(h host, now time.Time) (*tls.Certificate, error) {
	if l, ok := g.cached(h, now); ok {
		return l.cert, nil
	}
	minted, err, _ := g.minting.Do(h.String(), func() (any, error) {
		// Another flight may have landed since the look above.
		if l, ok := g.cached(h, now); ok {
			return l.cert, nil
		}
		return g.mint(h, now)
	})
	if err != nil {
		return nil, err
	}
	return minted.(*tls.Certificate), nil
}

func (g *generation) cached(h host, now time.Time) (leaf, bool) {
	l, ok := g.leaves.Get(h)
	// A leaf from the future was minted before the clock was set back.
	return l, ok && !now.Before(l.from) && now.Before(l.until)
}

func (g *generation) mint(h host, now time.Time) (*tls.Certificate, error) {
	if err := g.ca.checkTime(now); err != nil {
		return nil, err
	}
	cert, err := g.ca.signLeaf(h, now)
	if err != nil {
		return nil, err
	}
	g.log.Info("certificate issued",
		zap.Stringer("host", h),
		zap.Time("not_after", cert.Leaf.NotAfter))
	g.leaves.Add(h, leaf{
		cert:  cert,
		from:  cert.Leaf.NotBefore,
		until: g.renewal(now, cert.Leaf.NotAfter),
	})
	return cert, nil
}

// renewal returns when a leaf minted at now is replaced: when a third of its
// life remains, which leaves it longer to live than any session ticket
// (7 days). A leaf that ends with the CA is kept to the end: a new one would
// last no longer, and ever shorter ones would be minted ever faster.
func (g *generation) renewal(now, notAfter time.Time) time.Time {
	if !notAfter.Before(g.ca.intermediate.NotAfter) {
		return notAfter
	}
	return notAfter.Add(-notAfter.Sub(now) / 3)
}
