import numpy as np

from dicomnode.synthesis.compliance import ModelCompliance
from dicomnode_identity.model import IdentityModel


class TestIdentity(ModelCompliance):
    model_class = IdentityModel

    def test_the_copy_is_equal(self) -> None:
        inputs = self.make_inputs()
        assert np.array_equal(IdentityModel().synthesise(inputs, 0).image.array, inputs["source"].array)
