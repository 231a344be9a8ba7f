import pytest
import torch

from configs.training import Model
from lifter.model import Lift, build, place
from lifter.skeleton import BODY17, COCO17


def network(kind, skeleton=BODY17, **settings):
    """A small network with random weights everywhere, in evaluation mode."""
    torch.manual_seed(0)
    model = build(Model(kind=kind, width=32, **settings), skeleton)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model.eval()


def inputs(*shape, joints=17):
    torch.manual_seed(1)
    return torch.randn(*shape, joints, 3), 0.3 * torch.randn(*shape, 3)


@pytest.mark.parametrize("head", ["rays", "joints"])
def test_the_frame_model_gives_joints_relative_to_the_root(head):
    lift = network("frame", head=head)(*inputs(5))
    assert lift.joints_m.shape == (5, 17, 3)
    assert lift.sigma_m.shape == (5, 17)
    assert lift.root_m.shape == (5, 3)
    assert (lift.joints_m[:, 0] == 0).all()
    assert (lift.sigma_m > 0).all()


def test_any_skeleton_has_a_network():
    assert network("frame", COCO17)(*inputs(2)).joints_m.shape == (2, 17, 3)


def test_the_ray_head_puts_joints_on_their_rays_when_it_corrects_nothing():
    """With zero output weights the depth is everywhere the typical one: joints lie where the picture shows them."""
    model = network("frame", head="rays")
    torch.nn.init.zeros_(model.head.pose.weight)
    torch.nn.init.zeros_(model.head.pose.bias)
    keypoints, context = inputs(4)
    lift = model(keypoints, context)
    at_m = lift.joints_m + lift.root_m[:, None]
    torch.testing.assert_close(at_m[..., :2] / at_m[..., 2:], keypoints[..., :2] * context[:, 0].exp()[:, None, None])


def test_a_person_twice_as_far_is_as_tall_and_twice_as_far():
    model = network("frame", head="rays")
    torch.nn.init.zeros_(model.head.pose.weight)
    keypoints, context = inputs(1)
    near = model(keypoints, context)
    context[:, 0] -= torch.log(torch.tensor(2.0))
    far = model(keypoints, context)
    torch.testing.assert_close(
        far.root_m[:, 2] - model.head.pose.bias[2], 2 * (near.root_m[:, 2] - model.head.pose.bias[2])
    )


def test_streaming_gives_what_the_whole_window_gives():
    model = network("sequence", dilations=(1, 3, 4))
    keypoints, context = inputs(3, 20)
    whole = model(keypoints, context)
    state = torch.zeros(3, *model.state_shape)
    for t in range(20):
        lift, state = model.step(keypoints[:, t], context[:, t], state)
        torch.testing.assert_close(lift.joints_m, whole.joints_m[:, t])
        torch.testing.assert_close(lift.sigma_m, whole.sigma_m[:, t])


def test_the_sequence_model_sees_its_receptive_field_of_the_past_and_no_future():
    model = network("sequence", dilations=(1, 3, 4))
    keypoints, context = inputs(1, 30)
    before = model(keypoints, context).joints_m
    keypoints[0, 15] += 1.0
    changed = (model(keypoints, context).joints_m - before).abs().amax((0, 2, 3)) > 0
    assert changed.nonzero().flatten().tolist()[0] == 15
    assert changed.nonzero().flatten().tolist()[-1] == 15 + model.receptive_field - 1
    assert model.receptive_field == 9


def test_a_sequence_model_with_a_frame_models_weights_starts_as_the_frame_model():
    frame = network("frame")
    sequence = build(Model(kind="sequence", width=32, dilations=(1, 2)), BODY17).eval()
    sequence.load_state_dict({**sequence.state_dict(), **frame.state_dict()})
    keypoints, context = inputs(2, 7)
    whole = sequence(keypoints, context).joints_m
    torch.testing.assert_close(whole[:, 4], frame(keypoints[:, 4], context[:, 4]).joints_m)


def test_a_lift_is_placed_where_its_2d_was_seen_from():
    torch.manual_seed(3)
    joints_m, root_m = 0.4 * torch.randn(6, 17, 3), torch.tensor([0.3, -0.2, 4.0]) + torch.rand(6, 3)
    at_m = joints_m + root_m[:, None]
    scale = torch.rand(6) + 0.1
    tangent = at_m[..., :2] / at_m[..., 2:] / scale[:, None, None]
    keypoints = torch.cat([tangent, torch.rand(6, 17, 1) + 0.1], dim=-1)
    keypoints[:, 3] = 0.0  # an absent joint has no say
    context = torch.cat([scale.log()[:, None], torch.zeros(6, 2)], dim=1)
    lift = place(Lift(joints_m, torch.ones(6, 17), torch.zeros(6, 3)), keypoints, context)
    torch.testing.assert_close(lift.root_m, root_m, rtol=1e-4, atol=1e-4)
    empty = place(Lift(joints_m, torch.ones(6, 17), torch.zeros(6, 3)), torch.zeros(6, 17, 3), context)
    assert empty.root_m.isfinite().all()
