package resttest

import (
	"errors"
	"io"
	"strings"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/rest"
	"github.com/imagestreams/imagestreams/tagevent"
)

func streamLifecycle(s *suite) {
	streams := s.API.ImageStreams()
	created := s.create(newStream("app", docker("v1", "quay.io/org/app:v1")))
	m := created.Metadata
	if m.UID == "" || m.ResourceVersion == "" || m.Generation != 1 || m.CreationTimestamp.IsZero() ||
		m.Namespace != "shop" {
		s.Errorf("created with the metadata %+v", m)
	}
	if tag, ok := created.SpecTag(
		"v1",
	); !ok || tag.Generation == nil || *tag.Generation != 1 ||
		tag.ImportPolicy.ImportMode != imagestream.ImportModeLegacy ||
		tag.ReferencePolicy.Type != imagestream.ReferencePolicySource {
		s.Errorf("the tag is created without its defaults or its generation: %+v", created.Spec.Tags)
	}
	if got := s.get("app"); !got.Same(created) {
		s.Errorf("got %+v, created %+v", got, created)
	}
	_, err := streams.Create(s.ctx(), "shop", newStream("app"), rest.CreateOptions{})
	s.failsAbout("create again", err, imagestream.ReasonAlreadyExists, "imagestreams", "app")
	if err := streams.Delete(s.ctx(), shop("app"), rest.DeleteOptions{}); err != nil {
		s.Fatal(err)
	}
	_, err = streams.Get(s.ctx(), shop("app"))
	s.failsAbout("get what is deleted", err, imagestream.ReasonNotFound, "imagestreams", "app")
	if err != nil && !strings.Contains(err.Error(), `imagestreams.image.openshift.io "app" not found`) {
		s.Errorf("the text is not the API's: %v", err)
	}
	s.fails("delete again", streams.Delete(s.ctx(), shop("app"), rest.DeleteOptions{}), imagestream.ReasonNotFound)
	if again := s.create(newStream("app")); again.Metadata.UID == m.UID {
		s.Error("a stream that is created again has the uid of the deleted one")
	}
}

func streamRefusals(s *suite) {
	streams := s.API.ImageStreams()
	other := newStream("app")
	other.Metadata.Namespace = "tools"
	_, err := streams.Create(s.ctx(), "shop", other, rest.CreateOptions{})
	s.fails("create in another namespace", err, imagestream.ReasonBadRequest)
	_, err = streams.Create(s.ctx(), "shop", newStream("Bad_Name"), rest.CreateOptions{})
	s.failsAbout("create with a bad name", err, imagestream.ReasonInvalid, "ImageStream", "Bad_Name")
	var status *imagestream.StatusError
	if errors.As(err, &status) &&
		(len(status.Status().Details.Causes) == 0 || status.Status().Details.Causes[0].Field != "metadata.name") {
		s.Errorf("the causes do not name the field: %+v", status.Status().Details.Causes)
	}
	versioned := newStream("app")
	versioned.Metadata.ResourceVersion = "7"
	if _, err = streams.Create(s.ctx(), "shop", versioned, rest.CreateOptions{}); err == nil {
		s.Error("a stream with a resource version was created")
	}
	created := s.create(newStream("app"))
	err = streams.Delete(
		s.ctx(),
		shop("app"),
		rest.DeleteOptions{Preconditions: imagestream.Preconditions{UID: "somebody-else"}},
	)
	s.fails("delete another uid", err, imagestream.ReasonConflict)
	only := imagestream.Preconditions{UID: created.Metadata.UID}
	if err := streams.Delete(s.ctx(), shop("app"), rest.DeleteOptions{Preconditions: only}); err != nil {
		s.Errorf("delete by its uid: %v", err)
	}
}

func generatedNames(s *suite) {
	seen := map[string]bool{}
	for range 3 {
		stream := newStream("")
		stream.Metadata.GenerateName = "app" // the rule of names holds for it, so that "app-" is refused
		created := s.create(stream)
		name := created.Metadata.Name
		if !strings.HasPrefix(name, "app") || len(name) <= len("app") || seen[name] {
			s.Errorf("generated %q from app", name)
		}
		seen[name] = true
	}
}

// withLabel returns a change that sets a label.
func withLabel(key, value string) rest.Change[imagestream.ImageStream] {
	return func(old *imagestream.ImageStream) (*imagestream.ImageStream, error) {
		next := old.Clone()
		if next.Metadata.Labels == nil {
			next.Metadata.Labels = map[string]string{}
		}
		next.Metadata.Labels[key] = value
		return next, nil
	}
}

func streamUpdate(s *suite) {
	streams := s.API.ImageStreams()
	created := s.create(newStream("app", docker("v1", "quay.io/org/app:v1")))
	next := created.Clone()
	next.Spec.Tags = append(next.Spec.Tags, docker("v2", "quay.io/org/app:v2"))
	next.Status.Tags = []tagevent.History{
		{Tag: "v9", Items: []tagevent.Event{{DockerImageReference: "quay.io/org/app:v9"}}},
	}
	updated, isNew, err := streams.Update(s.ctx(), shop("app"), rest.Replace(next), rest.UpdateOptions{})
	if err != nil || isNew {
		s.Fatalf("update: created %t, %v", isNew, err)
	}
	if _, ok := updated.History(
		"v9",
	); ok || updated.Metadata.Generation != 2 ||
		updated.Metadata.ResourceVersion == created.Metadata.ResourceVersion {
		s.Errorf("updated to %+v: want generation 2, a new version, and the server's own status", updated)
	}
	v1, _ := updated.SpecTag("v1")
	v2, _ := updated.SpecTag("v2")
	if v1.Generation == nil || *v1.Generation != 1 || v2.Generation == nil || *v2.Generation != 2 {
		s.Errorf("the generations of the tags are %+v", updated.Spec.Tags)
	}
	_, _, err = streams.Update(s.ctx(), shop("app"), rest.Replace(next), rest.UpdateOptions{})
	s.failsAbout("update of an old version", err, imagestream.ReasonConflict, "imagestreams", "app")
	unversioned := updated.Clone()
	unversioned.Metadata.ResourceVersion = ""
	_, _, err = streams.Update(s.ctx(), shop("app"), rest.Replace(unversioned), rest.UpdateOptions{})
	s.fails("update without a version", err, imagestream.ReasonInvalid)
	renamed := updated.Clone()
	renamed.Metadata.Name = "other"
	_, _, err = streams.Update(s.ctx(), shop("app"), rest.Replace(renamed), rest.UpdateOptions{})
	s.fails("update under another name", err, imagestream.ReasonBadRequest)
	_, _, err = streams.Update(s.ctx(), shop("none"), withLabel("a", "b"), rest.UpdateOptions{})
	s.fails("update of nothing", err, imagestream.ReasonNotFound)
	_, _, err = streams.Update(
		s.ctx(),
		shop("app"),
		func(*imagestream.ImageStream) (*imagestream.ImageStream, error) { return nil, io.EOF },
		rest.UpdateOptions{},
	)
	if !errors.Is(err, io.EOF) {
		s.Errorf("an update whose function fails: %v", err)
	}
	nothing := func(*imagestream.ImageStream) (*imagestream.ImageStream, error) { return nil, nil }
	if _, _, err = streams.Update(s.ctx(), shop("app"), nothing, rest.UpdateOptions{}); err == nil {
		s.Error("an update whose function returns nothing succeeded")
	}
	if got := s.get("app"); !got.Same(updated) {
		s.Errorf("a refused update changed the stream to %+v", got)
	}
}

// updateIsRepeated lets somebody else write between reading and writing.
func updateIsRepeated(s *suite) {
	streams := s.API.ImageStreams()
	s.create(newStream("app"))
	calls := 0
	updated, _, err := streams.Update(
		s.ctx(),
		shop("app"),
		func(old *imagestream.ImageStream) (*imagestream.ImageStream, error) {
			if calls++; calls == 1 {
				if _, _, err := streams.Update(s.ctx(), shop("app"), withLabel("theirs", "yes"), rest.UpdateOptions{}); err != nil {
					return nil, err
				}
			}
			return withLabel("ours", "yes")(old)
		},
		rest.UpdateOptions{},
	)
	if err != nil || calls != 2 || updated.Metadata.Labels["ours"] != "yes" || updated.Metadata.Labels["theirs"] != "yes" {
		s.Errorf("after %d calls: %+v, %v", calls, updated, err)
	}
}

func updateOrCreate(s *suite) {
	change := func(old *imagestream.ImageStream) (*imagestream.ImageStream, error) {
		if old == nil {
			return newStream("app"), nil
		}
		return withLabel("a", "b")(old)
	}
	for _, want := range []bool{true, false} {
		_, created, err := s.API.ImageStreams().Update(s.ctx(), shop("app"), change, rest.UpdateOptions{OrCreate: true})
		if errors.Is(err, imagestream.ErrUnsupported) {
			return
		}
		if err != nil || created != want {
			s.Errorf("created %t, %v; want %t", created, err, want)
		}
	}
}

func statusUpdate(s *suite) {
	s.create(newStream("app", docker("v1", "quay.io/org/app:v1")))
	event := tagevent.Event{DockerImageReference: "quay.io/org/app@" + digestOf(1), Image: digestOf(1)}
	updated, err := s.API.ImageStreams().
		UpdateStatus(s.ctx(), shop("app"), func(old *imagestream.ImageStream) (*imagestream.ImageStream, error) {
			next, _ := old.Push("v1", event)
			next = next.Clone()
			next.Spec.Tags = nil
			return next, nil
		}, rest.UpdateOptions{})
	if err != nil {
		s.Fatal(err)
	}
	latest, _ := updated.LatestEvent("v1")
	if len(updated.Spec.Tags) != 1 || latest.Image != digestOf(1) || updated.Metadata.Generation != 1 {
		s.Errorf("updated to %+v: want the event, and the spec as it was", updated)
	}
}

func dryRun(s *suite) {
	streams := s.API.ImageStreams()
	dry, err := streams.Create(s.ctx(), "shop", newStream("app"), rest.CreateOptions{DryRun: true})
	if err != nil || dry.Metadata.Generation != 1 {
		s.Errorf("created %+v, %v", dry, err)
	}
	_, err = streams.Get(s.ctx(), shop("app"))
	s.fails("get what a dry run created", err, imagestream.ReasonNotFound)
	created := s.create(newStream("app"))
	dry, _, err = streams.Update(s.ctx(), shop("app"), withLabel("a", "b"), rest.UpdateOptions{DryRun: true})
	if err != nil || dry.Metadata.Labels["a"] != "b" {
		s.Errorf("updated to %+v, %v", dry, err)
	}
	if err := streams.Delete(s.ctx(), shop("app"), rest.DeleteOptions{DryRun: true}); err != nil {
		s.Error(err)
	}
	tagged, _, err := s.API.ImageStreamTags().
		Update(s.ctx(), shop("app:v1"), rest.Replace(newTag("app:v1", "quay.io/org/app:v1")), rest.UpdateOptions{DryRun: true})
	if err != nil || tagged.Tag == nil {
		s.Errorf("tagged %+v, %v", tagged, err)
	}
	if got := s.get("app"); !got.Same(created) {
		s.Errorf("dry runs changed the stream to %+v", got)
	}
}

func names(list *imagestream.ImageStreamList) string {
	var names []string
	for _, s := range list.Items {
		names = append(names, s.Metadata.Namespace+"/"+s.Metadata.Name)
	}
	return strings.Join(names, " ")
}

func lists(s *suite) {
	streams := s.API.ImageStreams()
	for _, name := range []string{"b", "a"} {
		stream := newStream(name)
		stream.Metadata.Labels = map[string]string{"name": name}
		s.create(stream)
	}
	if _, err := streams.Create(s.ctx(), "tools", newStream("a"), rest.CreateOptions{}); err != nil {
		s.Fatal(err)
	}
	labels, err := imagestream.ParseSelector("name=b")
	if err != nil {
		s.Fatal(err)
	}
	for _, tc := range []struct {
		opts rest.ListOptions
		want string
	}{
		{rest.ListOptions{}, "shop/a shop/b tools/a"},
		{rest.ListOptions{Namespace: "shop"}, "shop/a shop/b"},
		{rest.ListOptions{Namespace: "none"}, ""},
		{rest.ListOptions{Labels: labels}, "shop/b"},
		{rest.ListOptions{Fields: "metadata.name=a"}, "shop/a tools/a"},
		{rest.ListOptions{Fields: "metadata.name!=a,metadata.namespace==shop"}, "shop/b"},
	} {
		list, err := streams.List(s.ctx(), tc.opts)
		if err != nil {
			s.Fatal(err)
		}
		if names(list) != tc.want || list.Metadata.ResourceVersion == "" {
			s.Errorf(
				"list %+v: %s at version %q; want %s",
				tc.opts,
				names(list),
				list.Metadata.ResourceVersion,
				tc.want,
			)
		}
	}
	_, err = streams.List(s.ctx(), rest.ListOptions{Fields: "spec.x=1"})
	s.fails("list by a field that is not there", err, imagestream.ReasonBadRequest)
}

func pages(s *suite) {
	streams := s.API.ImageStreams()
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		s.create(newStream(name))
	}
	var got []string
	opts := rest.ListOptions{Namespace: "shop", Limit: 2}
	for {
		list, err := streams.List(s.ctx(), opts)
		if err != nil {
			s.Fatal(err)
		}
		if len(list.Items) > 2 {
			s.Fatalf("a page has %d streams, and may have 2", len(list.Items))
		}
		got = append(got, names(list))
		if opts.Continue = list.Metadata.Continue; opts.Continue == "" {
			break
		}
	}
	if all := strings.Join(got, " "); all != "shop/a shop/b shop/c shop/d shop/e" {
		s.Errorf("the pages are %q", got)
	}
}

// noObjects gives the verbs nothing to write.
func noObjects(s *suite) {
	s.create(newStream("app"))
	none := rest.CreateOptions{}
	for what, create := range map[string]func() error{
		"imagestreams": func() error { _, err := s.API.ImageStreams().Create(s.ctx(), "shop", nil, none); return err },
		"imagestreamtags": func() error {
			_, err := s.API.ImageStreamTags().Create(s.ctx(), "shop", nil, none)
			return err
		},
		"imagetags":           func() error { _, err := s.API.ImageTags().Create(s.ctx(), "shop", nil, none); return err },
		"imagestreammappings": func() error { return s.API.ImageStreamMappings().Create(s.ctx(), "shop", nil, none) },
		"imagestreamimports": func() error {
			_, err := s.API.ImageStreamImports().Create(s.ctx(), "shop", nil, none)
			return err
		},
		"images":          func() error { _, err := s.API.Images().Create(s.ctx(), "", nil, none); return err },
		"imagesignatures": func() error { _, err := s.API.ImageSignatures().Create(s.ctx(), "", nil, none); return err },
	} {
		s.fails("create nothing in "+what, create(), imagestream.ReasonBadRequest)
	}
	_, _, err := s.API.ImageStreams().Update(
		s.ctx(), shop("app"), rest.Replace[imagestream.ImageStream](nil), rest.UpdateOptions{})
	s.fails("replace by nothing", err, imagestream.ReasonBadRequest)
}
